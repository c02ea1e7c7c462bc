#!/bin/sh
# canary.sh PROGRAM SEED STEPS: leaves one rule out at a time and prints by
# what it was noticed. Fails if one was not.
program=$1 seed=$2 steps=$3
missed=0
printf '%-29s| %-18s| %s\n' 'rule left out' 'caught after' 'violation'
printf '%s\n' '-----------------------------+-------------------+----------------------------------------'
for rule in none refuse_before_release lease_margin confirmed_epochs overlap_check monotone_index reservations_before_release told_is_not_given_back; do
    out=$("$program" --canary $rule --seed "$seed" --steps "$steps" 2>&1)
    what=$(printf '%s\n' "$out" | sed -n 's/^violation: //p')
    after=$(printf '%s\n' "$out" | sed -n 's/^1 violation in \([0-9]*\) steps$/\1 steps/p')
    if [ $rule = none ]; then
        # With all rules in, the same program finds nothing.
        if [ -n "$what" ] || ! printf '%s\n' "$out" | grep -q '^0 violations in '; then
            missed=1 after='A FALSE ALARM'
            [ -n "$what" ] || what=$(printf '%s\n' "$out" | tail -1)
        else
            after=- what="none in $steps steps, as it must be"
        fi
    elif [ -z "$what" ]; then
        missed=1 after='NOT CAUGHT' what=$(printf '%s\n' "$out" | tail -1)
    fi
    printf '%-29s| %-18s| %s\n' "$rule" "$after" "$what"
done
exit $missed
