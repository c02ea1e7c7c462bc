// Runs every target over its committed corpus, and over a fixed number of
// seeded mutations of each file, so that the ordinary tests fuzz a little
// without any fuzzer installed.
//
//   fuzz_replay CORPORA [MUTATIONS]      all targets; default 200 mutations a file
//   fuzz_replay --one TARGET FILE…       e.g. a crash that `make fuzz` left
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "targets.h"

namespace {

namespace fs = std::filesystem;

std::string read(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

// One to four changes: a byte, a piece taken out, a piece doubled, a piece of another file put in.
std::string mutate(std::string text, const std::vector<std::string>& others, std::mt19937& random) {
    auto below = [&](std::size_t n) { return n ? std::uniform_int_distribution<std::size_t>(0, n - 1)(random) : 0; };
    static constexpr char interesting[] = "\"\\{}[],:.-_= |\x00\x7f\xff\xed\xa0\r\n0919eE+nul";
    for (auto changes = 1 + below(4); changes > 0; --changes) {
        const auto at = below(text.size() + 1);
        switch (below(5)) {
            case 0: if (at < text.size()) text[at] = static_cast<char>(below(256)); break;
            case 1: text.erase(at, 1 + below(8)); break;
            case 2: text.insert(at, 1, interesting[below(sizeof interesting - 1)]); break;
            case 3: text.insert(below(text.size() + 1), text.substr(at, below(40))); break;
            default: {
                const auto& other = others[below(others.size())];
                text.insert(at, other.substr(below(other.size() + 1), below(60)));
            }
        }
    }
    return text;
}

struct Count { std::size_t files = 0, runs = 0; };

Count replay(const netpay::fuzz::Target& target, const fs::path& directory, std::size_t mutations) {
    std::vector<fs::path> paths;
    for (const auto& entry : fs::directory_iterator(directory)) paths.push_back(entry.path());
    std::sort(paths.begin(), paths.end());
    std::vector<std::string> files;
    for (const auto& path : paths) files.push_back(read(path));
    std::mt19937 random(1);
    Count count;
    for (const auto& file : files) {
        target.run(file);
        for (std::size_t i = 0; i < mutations; ++i) target.run(mutate(file, files, random));
        ++count.files;
        count.runs += 1 + mutations;
    }
    return count;
}

int replay_all(const fs::path& corpora, std::size_t mutations) {
    int missing = 0;
    for (const auto& target : netpay::fuzz::targets()) {
        std::error_code ec;
        const auto count = fs::is_directory(corpora / target.name, ec) ? replay(target, corpora / target.name, mutations) : Count{};
        std::printf("%-18s %3zu files, %6zu runs\n", target.name, count.files, count.runs);
        missing += count.files == 0;
    }
    if (missing) std::fprintf(stderr, "%d targets have no corpus under %s\n", missing, corpora.c_str());
    return missing ? 1 : 0;
}

int replay_one(const char* name, char** files) {
    for (const auto& target : netpay::fuzz::targets()) {
        if (std::strcmp(target.name, name) != 0) continue;
        for (; *files; ++files) target.run(read(*files));
        return 0;
    }
    std::fprintf(stderr, "no target %s\n", name);
    return 2;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc >= 4 && std::strcmp(argv[1], "--one") == 0) return replay_one(argv[2], argv + 3);
    const char* corpora = argc > 1 ? argv[1] : CORPORA;
    return replay_all(corpora, argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 200);
}
