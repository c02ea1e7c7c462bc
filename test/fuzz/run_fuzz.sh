#!/bin/sh
# make fuzz: libFuzzer with AddressSanitizer and UndefinedBehaviorSanitizer over
# every target. Needs clang (Debian: clang, libclang-rt-14-dev or the like).
#   FUZZ_SECONDS  for each target (default 20)
#   FUZZ_TARGETS  names (default: every corpus)
#   FUZZ_CLANG    compiler (default clang++)
# New inputs go to BUILD/test/fuzz/work, crashes to BUILD/test/fuzz/crashes; the
# committed corpora are only read.
set -eu
src=$1
build=$2
cxx=${FUZZ_CLANG:-clang++}
seconds=${FUZZ_SECONDS:-20}
command -v "$cxx" >/dev/null || { echo "make fuzz needs clang++ (Debian package clang); 'make check' replays the corpora without it" >&2; exit 1; }
targets=${FUZZ_TARGETS:-$(ls "$src/test/fuzz/corpora")}
out=$build/test/fuzz
mkdir -p "$out/work" "$out/crashes" "$out/obj"
flags="-std=c++20 -O1 -g -fno-omit-frame-pointer -I$src -I$src/test/fuzz"
san="-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined"
objects=
for f in "$src"/core/*.cc "$src/test/fuzz/targets.cc"; do
    o=$out/obj/$(basename "$f" .cc).o
    [ "$o" -nt "$f" ] || $cxx $flags $san -c "$f" -o "$o"
    objects="$objects $o"
done
failed=0
for t in $targets; do
    $cxx $flags $san -DTARGET="\"$t\"" -c "$src/test/fuzz/libfuzzer.cc" -o "$out/obj/entry_$t.o"
    $cxx -fsanitize=fuzzer,address,undefined "$out/obj/entry_$t.o" $objects -lcrypto -o "$out/fuzz_$t"
    mkdir -p "$out/work/$t"
    echo "== $t, $seconds s"
    "$out/fuzz_$t" -max_total_time="$seconds" -max_len=8192 -timeout=5 -rss_limit_mb=1024 -artifact_prefix="$out/crashes/$t-" \
        -print_final_stats=1 "$out/work/$t" "$src/test/fuzz/corpora/$t" 2>"$out/$t.log" || { failed=1; tail -40 "$out/$t.log"; }
    grep -E 'number_of_executed_units|new_units_added' "$out/$t.log" || true
done
exit $failed
