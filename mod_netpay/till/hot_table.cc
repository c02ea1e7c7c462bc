#include "mod_netpay/till/hot_table.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <fstream>
#include <memory>

#include <fcntl.h>
#include <unistd.h>
#include <xxhash.h>

namespace netpay::till {
namespace {

constexpr std::size_t page = 4096;
constexpr std::size_t slot_bytes = 2 * page;
constexpr std::size_t reservations_at = 3072;
constexpr char magic[8] = {'n', 'e', 't', 'p', 'a', 'y', 'h', 't'};
constexpr std::uint32_t format = 2;
constexpr std::uint32_t first_format = 1;  // the same layout: HotTerms::custody was spare, and 0

bool readable(std::uint32_t f) { return f == format || f == first_format; }


static_assert(sizeof(Image) <= reservations_at);
static_assert(reservations_at + sizeof(Reservations) <= page);

// Bytes of an image up to its last ticket range in use. The ranges follow
// their count at the end of TicketSet.
static_assert(sizeof(TicketSet) == sizeof(std::uint32_t) + sizeof(TicketSet::Range) * limits::ticket_ranges);
std::size_t head_bytes(const Image& i) {
    const auto ranges = std::min<std::size_t>(i.state.tickets.size(), limits::ticket_ranges);
    return offsetof(Image, state) + offsetof(SpendState, tickets) + sizeof(std::uint32_t) +
           ranges * sizeof(TicketSet::Range);
}

constexpr std::size_t tail_at = offsetof(Image, state) + offsetof(SpendState, recent_at);
std::size_t tail_bytes(const Image& i) {
    const auto recent = std::min<std::size_t>(recent_used(i.state), limits::recent_tickets);
    return offsetof(SpendState, recent) - offsetof(SpendState, recent_at) + recent * sizeof(RecentTicket);
}

const std::uint8_t* bytes(const Image& i) { return reinterpret_cast<const std::uint8_t*>(&i); }

std::uint64_t sum(const Image& i) {
    constexpr auto from = sizeof i.checksum;
    const auto head = XXH3_64bits(bytes(i) + from, head_bytes(i) - from);
    const auto both = XXH3_64bits_withSeed(bytes(i) + tail_at, tail_bytes(i), head);
    return both ? both : 1;
}

// Copies what is in use, all but the checksum.
void copy(Image& to, const Image& from) {
    constexpr auto at = sizeof from.checksum;
    auto* out = reinterpret_cast<std::uint8_t*>(&to);
    std::memcpy(out + at, bytes(from) + at, head_bytes(from) - at);
    std::memcpy(out + tail_at, bytes(from) + tail_at, tail_bytes(from));
    // A change that was begun and not committed left at most one place filled beyond those in use.
    if (const auto k = recent_used(from.state); k < limits::recent_tickets) to.state.recent[k].index = 0;
}

std::string boot_id() {
    std::ifstream in("/proc/sys/kernel/random/boot_id");
    std::string id;
    std::getline(in, id);
    return id;
}

std::size_t up_to_page(std::size_t n) { return (n + page - 1) / page * page; }

}  // namespace

struct HotTable::Header {
    char magic[8];
    std::uint32_t format;
    std::uint32_t image_bytes;
    std::uint32_t sets;
    std::uint32_t always;      // Sync::always when it was opened
    std::uint32_t clean;       // closed in order: everything here is in the cold store
    std::uint32_t failed;
    std::uint32_t stalled;
    std::uint32_t spare;
    char boot[40];             // kernel's boot_id: whether the mapping outlived its processes or the machine went down
    std::uint64_t run;         // counts openings by a first process
    std::uint64_t next_owner;
};

struct HotTable::Way {
    std::uint32_t taken;
    std::uint32_t active;      // 0: A, 1: B
    std::uint64_t saved;
    std::uint64_t used;        // Set::clock when it was last used
};

struct HotTable::Set {
    Tag16 coins[ways];
    Way places[ways];
    std::uint64_t clock;
    std::uint64_t spare[7];
};

Tag16 issuer_tag(std::string_view issuer) {
    const XXH128_hash_t h = XXH3_128bits(issuer.data(), issuer.size());
    Tag16 t;
    std::memcpy(t.data(), &h.low64, 8);
    std::memcpy(t.data() + 8, &h.high64, 8);
    return t;
}

void Image::seal() { checksum = sum(*this); }

bool Image::intact() const {
    return checksum != 0 && state.tickets.size() <= limits::ticket_ranges && state.recent_at < limits::recent_tickets &&
           checksum == sum(*this) && plausible(state);
}

// ---------------------------------------------------------------- a slot

const Image& HotTable::Slot::active() const { return table_->image(number_, table_->way(number_).active); }

Reservations& HotTable::Slot::open() const {
    auto* at = table_->map_.data() + table_->slots_at_ + number_ * slot_bytes + reservations_at;
    return *reinterpret_cast<Reservations*>(at);
}

Image& HotTable::Slot::begin() const {
    Image& spare = table_->image(number_, 1 - table_->way(number_).active);
    spare.checksum = 0;
    std::atomic_signal_fence(std::memory_order_seq_cst);
    copy(spare, active());
    return spare;
}

void HotTable::Slot::commit() const {
    auto& w = table_->way(number_);
    Image& spare = table_->image(number_, 1 - w.active);
    ++spare.version;
    spare.run = table_->header().run;
    spare.seal();
    std::atomic_ref(w.active).store(1 - w.active, std::memory_order_release);
    table_->mark_dirty(number_);
}

void HotTable::Slot::revert() const {
    auto& w = table_->way(number_);
    std::atomic_ref(w.active).store(1 - w.active, std::memory_order_release);
}

int HotTable::Slot::sync(Disk& disk) const {
    auto* at = reinterpret_cast<std::byte*>(&table_->image(number_, table_->way(number_).active));
    return disk.sync(at, page);
}

std::uint64_t HotTable::Slot::saved() const { return table_->way(number_).saved; }
void HotTable::Slot::set_saved(std::uint64_t v) const { table_->way(number_).saved = v; }
void HotTable::Slot::touch() const { table_->way(number_).used = ++table_->set(number_ / ways).clock; }

// ---------------------------------------------------------------- the file

HotTable::Header& HotTable::header() const { return *reinterpret_cast<Header*>(map_.data()); }
HotTable::Set& HotTable::set(std::uint32_t s) const { return reinterpret_cast<Set*>(map_.data() + page)[s]; }
HotTable::Way& HotTable::way(std::uint32_t n) const { return set(n / ways).places[n % ways]; }
Image& HotTable::image(std::uint32_t n, std::uint32_t which) const {
    return *reinterpret_cast<Image*>(map_.data() + slots_at_ + n * slot_bytes + which * page);
}

void HotTable::place() {
    static_assert(sizeof(Header) <= page && sizeof(Set) == 384);
    dirty_at_ = page + sets_ * sizeof(Set);
    slots_at_ = up_to_page(dirty_at_ + (sets_ + 7) / 8 * sizeof(std::uint64_t));
}

Result<bool> HotTable::images(const std::string& directory, const Found& found) {
    auto file = File::open(directory, "hot.tbl");
    if (!file) return file.error();
    const auto size = static_cast<std::size_t>(file->size());
    if (size < page) return true;
    HotTable t;
    auto map = Mapping::of(*file, size);
    if (!map) return map.error();
    t.map_ = std::move(*map);
    const Header& h = t.header();
    if (std::memcmp(h.magic, magic, sizeof magic) != 0 || h.clean) return true;
    if (!readable(h.format) || h.image_bytes != sizeof(Image))
        return {Code::mismatch, "till: " + file->path() +
                                    ": left behind in haste by another version; start and stop that version once, so "
                                    "that nothing is lost"};
    t.sets_ = h.sets;
    t.place();
    if (size < t.slots_at_ + std::size_t{t.slots()} * slot_bytes)
        return {Code::mismatch, "till: " + file->path() + ": shorter than its header says"};
    // After a loss of power the sets, which nobody synced, say nothing: every
    // page is looked at, for images of the last run.
    const bool same_boot = std::string_view(h.boot, strnlen(h.boot, sizeof h.boot)) == boot_id();
    for (std::uint32_t n = 0; n < t.slots(); ++n) {
        const Way& w = t.way(n);
        if (same_boot && !w.taken) continue;
        bool any = false;
        for (std::uint32_t which = 0; which < 2; ++which) {
            const Image& i = t.image(n, which);
            if (i.run != h.run || !i.intact()) continue;
            any = true;
            if (auto r = found.image(i); !r) return r;
        }
        if (any) continue;
        // Without an intact image the coin is lost, but for two cases after a
        // loss of power: syncing at intervals promises only what was folded
        // into the cold store, and a slot whose second image was never
        // written was just being filled from there.
        const Image &a = t.image(n, 0), &b = t.image(n, 1);
        if (same_boot) {
            if (auto r = found.lost(t.set(n / ways).coins[n % ways]); !r) return r;
        } else if (h.always && a.run == h.run && b.run == h.run) {
            if (auto r = found.lost(a.terms.coin); !r) return r;
        }
    }
    return true;
}

Result<bool> HotTable::look(const std::string& directory, const Seen& seen) {
    constexpr int tries = 16;  // a coin is paid with every few microseconds at most; a read takes less
    const std::string path = directory + "/hot.tbl";
    struct Descriptor {
        int fd;
        ~Descriptor() {
            if (fd >= 0) close(fd);
        }
        bool read(void* to, std::size_t n, std::size_t at) const {
            return pread(fd, to, n, static_cast<off_t>(at)) == static_cast<ssize_t>(n);
        }
    };
    const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW)};
    if (file.fd < 0) return errno == ENOENT ? Result<bool>(true) : disk_error(path, "cannot open", errno);
    Header h{};
    if (!file.read(&h, sizeof h, 0)) return true;
    if (std::memcmp(h.magic, magic, sizeof magic) != 0 || h.clean) return true;
    if (!readable(h.format) || h.image_bytes != sizeof(Image)) return {Code::mismatch, "till: " + path + ": of another version"};
    HotTable t;
    t.sets_ = h.sets;
    t.place();
    const bool same_boot = std::string_view(h.boot, strnlen(h.boot, sizeof h.boot)) == boot_id();
    const auto image = std::make_unique<Image>();
    for (std::uint32_t n = 0; n < t.slots(); ++n) {
        bool taken = false, found = false;
        Tag16 coin{};
        for (int k = 0; k < (same_boot ? tries : 1) && !found; ++k) {
            Set s{};
            if (!file.read(&s, sizeof s, page + n / ways * sizeof(Set))) return disk_error(path, "cannot read", EIO);
            const Way& w = s.places[n % ways];
            coin = s.coins[n % ways];
            taken = w.taken != 0;
            if (!taken && same_boot) break;
            // After a loss of power either may be the newer one: each is given.
            for (std::uint32_t which = 0; which < 2; ++which) {
                if (same_boot && which != (w.active & 1)) continue;
                const auto at = t.slots_at_ + std::size_t{n} * slot_bytes + which * page;
                if (!file.read(image.get(), sizeof(Image), at)) return disk_error(path, "cannot read", EIO);
                if (image->run != h.run || !image->intact()) continue;
                found = true;
                seen.image(*image);
            }
        }
        if (taken && !found) seen.busy(coin);
    }
    return true;
}

Result<HotTable> HotTable::open(const std::string& directory, std::uint32_t slots, Disk& disk, bool fresh,
                                bool always) {
    auto file = File::open(directory, "hot.tbl");
    if (!file) return file.error();
    if (slots > max_slots) return {Code::limit, "till: more than " + std::to_string(max_slots) + " slots"};
    HotTable t;
    std::uint64_t run = 0, owner = 0;
    if (static_cast<std::size_t>(file->size()) >= page) {
        auto map = Mapping::of(*file, page);
        if (!map) return map.error();
        t.map_ = std::move(*map);
        const Header h = t.header();
        t.map_ = Mapping();
        if (std::memcmp(h.magic, magic, sizeof magic) == 0) {
            run = h.run;
            owner = h.next_owner;
            if ((h.format == format || (fresh && readable(h.format))) && h.image_bytes == sizeof(Image)) t.sets_ = h.sets;
        }
    }
    if (!fresh && t.sets_ == 0) return {Code::mismatch, "till: " + file->path() + ": in use by another version"};
    if (fresh) {
        const std::uint32_t wanted = slots ? (slots + ways - 1) / ways : t.sets_ ? t.sets_ : default_slots / ways;
        t.sets_ = wanted;
        t.place();
        const auto length = static_cast<off_t>(t.slots_at_ + std::size_t{t.slots()} * slot_bytes);
        if (file->size() != length && ftruncate(file->fd(), 0) != 0)
            return disk_error(file->path(), "cannot truncate", errno);
        if (const int e = disk.allocate(file->fd(), length)) return disk_error(file->path(), "cannot allocate", e);
    }
    t.place();
    auto map = Mapping::of(*file, t.slots_at_ + std::size_t{t.slots()} * slot_bytes);
    if (!map) return map.error();
    t.map_ = std::move(*map);
    if (!fresh) return t;

    // First the sets, then the header: killed between, the next one finds an empty table of the old run.
    std::memset(t.map_.data() + page, 0, t.slots_at_ - page);
    std::atomic_signal_fence(std::memory_order_seq_cst);
    Header& h = t.header();
    h.clean = h.failed = h.stalled = 0;
    h.format = format;
    h.image_bytes = sizeof(Image);
    h.sets = t.sets_;
    h.always = always;
    h.run = run + 1;
    h.next_owner = owner;
    const auto boot = boot_id();
    std::memcpy(h.boot, boot.data(), std::min(boot.size(), sizeof h.boot - 1));
    std::memcpy(h.magic, magic, sizeof magic);
    // The note that it was closed in order must be off the disk before anything happens here.
    if (const int e = disk.sync(t.map_.data(), page)) return disk_error(file->path(), "cannot sync", e);
    return t;
}

std::uint32_t HotTable::set_of(const Tag16& coin) const {
    std::uint64_t x = 0;  // a coin's tag is a hash already
    std::memcpy(&x, coin.data(), sizeof x);
    return static_cast<std::uint32_t>(x % sets_);
}

std::optional<HotTable::Slot> HotTable::find(const Tag16& coin) const {
    const std::uint32_t s = set_of(coin);
    const Set& of = set(s);
    for (std::uint32_t k = 0; k < ways; ++k)
        if (of.coins[k] == coin && of.places[k].taken) return slot(s * ways + k);
    return std::nullopt;
}

std::optional<HotTable::Slot> HotTable::vacant(std::uint32_t s) const {
    for (std::uint32_t k = 0; k < ways; ++k)
        if (!set(s).places[k].taken) return slot(s * ways + k);
    return std::nullopt;
}

std::vector<HotTable::Slot> HotTable::by_age(std::uint32_t s) const {
    std::vector<Slot> out;
    for (std::uint32_t k = 0; k < ways; ++k)
        if (set(s).places[k].taken) out.push_back(slot(s * ways + k));
    std::sort(out.begin(), out.end(), [&](Slot a, Slot b) { return way(a.number_).used < way(b.number_).used; });
    return out;
}

std::optional<HotTable::Slot> HotTable::at(std::uint32_t n) const {
    return way(n).taken ? std::optional(slot(n)) : std::nullopt;
}

int HotTable::insert(Slot to, const HotTerms& terms, const Snapshot& s, bool always, Disk& disk) const {
    const auto n = to.number_;
    Way& w = way(n);
    std::memset(static_cast<void*>(&image(n, 1)), 0, sizeof(Image));
    if (always)
        if (const int e = disk.sync(&image(n, 1), page)) return e;
    Image& a = image(n, 0);
    a.checksum = 0;
    a.run = header().run;
    a.version = s.version;
    a.last_used = s.last_used;
    a.terms = terms;
    std::memcpy(static_cast<void*>(&a.state), &s.state, sizeof a.state);
    a.seal();
    to.open() = Reservations{};
    if (always)
        if (const int e = disk.sync(&a, page)) return e;
    set(n / ways).coins[n % ways] = terms.coin;
    w.active = 0;
    w.saved = s.version;
    std::atomic_ref(w.taken).store(1, std::memory_order_release);
    to.touch();
    return 0;
}

void HotTable::remove(Slot s) const { std::atomic_ref(way(s.number_).taken).store(0, std::memory_order_release); }

void HotTable::take_dirty(const std::function<void(std::uint32_t)>& f) const {
    auto* words = reinterpret_cast<std::uint64_t*>(map_.data() + dirty_at_);
    for (std::uint32_t k = 0; k < (slots() + 63) / 64; ++k) {
        std::atomic_ref word(words[k]);
        if (word.load(std::memory_order_relaxed) == 0) continue;
        for (std::uint64_t bits = word.exchange(0); bits != 0; bits &= bits - 1)
            f(k * 64 + static_cast<std::uint32_t>(__builtin_ctzll(bits)));
    }
}

void HotTable::mark_dirty(std::uint32_t n) const {
    std::atomic_ref word(reinterpret_cast<std::uint64_t*>(map_.data() + dirty_at_)[n / 64]);
    const std::uint64_t bit = std::uint64_t{1} << (n % 64);
    if (!(word.load(std::memory_order_relaxed) & bit)) word.fetch_or(bit);
}

void HotTable::mark_all_dirty() const {
    for (std::uint32_t n = 0; n < slots(); ++n)
        if (way(n).taken) mark_dirty(n);
}

std::uint64_t HotTable::next_owner() const { return std::atomic_ref(header().next_owner).fetch_add(1) + 1; }
bool HotTable::failed() const { return std::atomic_ref(header().failed).load(std::memory_order_relaxed) != 0; }
void HotTable::fail() const { std::atomic_ref(header().failed).store(1); }
bool HotTable::stalled() const { return std::atomic_ref(header().stalled).load(std::memory_order_relaxed) != 0; }
void HotTable::set_stalled(bool on) const { std::atomic_ref(header().stalled).store(on ? 1 : 0); }
void HotTable::closed_in_order() const { header().clean = 1; }

}  // namespace netpay::till
