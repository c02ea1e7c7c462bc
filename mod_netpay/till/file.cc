#include "mod_netpay/till/file.h"

#include <cerrno>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace netpay::till {

Error disk_error(std::string_view path, std::string_view what, int error) {
    std::string text = "till: ";
    text.append(path).append(": ").append(what).append(": ").append(std::generic_category().message(error));
    return {error == ENOSPC || error == EDQUOT ? Code::limit : Code::malformed, std::move(text)};
}

void give_to_owner_of(const std::string& directory, const std::string& path) {
    struct stat d {}, f {};
    if (geteuid() != 0 || stat(directory.c_str(), &d) != 0 || lstat(path.c_str(), &f) != 0) return;
    if (S_ISREG(f.st_mode) && f.st_uid == 0 && d.st_uid != 0) (void)!lchown(path.c_str(), d.st_uid, d.st_gid);
}

Result<File> File::open(const std::string& directory, const char* name) {
    File f;
    f.path_ = directory + "/" + name;
    f.fd_ = ::open(f.path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (f.fd_ < 0) return disk_error(f.path_, "cannot open", errno);
    give_to_owner_of(directory, f.path_);
    return f;
}

File::File(File&& o) noexcept : fd_(std::exchange(o.fd_, -1)), path_(std::move(o.path_)) {}

File& File::operator=(File&& o) noexcept {
    std::swap(fd_, o.fd_);
    std::swap(path_, o.path_);
    return *this;
}

File::~File() {
    if (fd_ >= 0) close(fd_);
}

off_t File::size() const {
    struct stat s {};
    return fstat(fd_, &s) == 0 ? s.st_size : 0;
}

bool File::lock_exclusive() const { return flock(fd_, LOCK_EX | LOCK_NB) == 0; }
bool File::lock_shared() const { return flock(fd_, LOCK_SH | LOCK_NB) == 0; }
void File::unlock() const { flock(fd_, LOCK_UN); }

Result<Mapping> Mapping::of(const File& file, std::size_t length) {
    void* p = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED, file.fd(), 0);
    if (p == MAP_FAILED) return disk_error(file.path(), "cannot map", errno);
    madvise(p, length, MADV_DONTDUMP);
    Mapping m;
    m.at_ = static_cast<std::byte*>(p);
    m.length_ = length;
    return m;
}

Mapping::Mapping(Mapping&& o) noexcept : at_(std::exchange(o.at_, nullptr)), length_(std::exchange(o.length_, 0)) {}

Mapping& Mapping::operator=(Mapping&& o) noexcept {
    std::swap(at_, o.at_);
    std::swap(length_, o.length_);
    return *this;
}

Mapping::~Mapping() {
    if (at_) munmap(at_, length_);
}

}  // namespace netpay::till
