// libsvcauth's handles as C++17 values: freed when they go out of scope, moved, never copied; errors are exceptions.
#ifndef SVCAUTH_HPP
#define SVCAUTH_HPP

#include <svcauth.h>

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

#ifndef SVCAUTH_TRANSPORT
#error "this libsvcauth was built without its transport: build it with make lib, and take the flags from pkg-config or CMake"
#endif

namespace svcauth {

template <auto Free> struct Freed {
    template <typename Handle> void operator()(Handle *handle) const { Free(handle); }
};

// What went wrong; `code` is for programs, `what()` for people.
class Error : public std::runtime_error {
  public:
    Error(svcauth_result code, svcauth_error *error) : std::runtime_error(display(error)), code(code) {}

    const svcauth_result code;

  private:
    static std::string display(svcauth_error *error)
    {
        std::unique_ptr<svcauth_error, Freed<svcauth_error_free>> owned(error);
        const char *text = nullptr;
        std::size_t len = 0;
        if (svcauth_error_get_text(error, SVCAUTH_ERROR_TEXT_DISPLAY, &text, &len) != SVCAUTH_RESULT_OK)
            return "libsvcauth was called wrongly";
        return std::string(text, len);
    }
};

// An access token. It stays valid while one of its owners lives, whatever becomes of the client.
class Lease {
  public:
    explicit Lease(svcauth_lease *handle) : handle(handle) {}

    // The value of the Authorization field; it lives as long as the lease.
    std::string_view authorization() const
    {
        const char *text = nullptr;
        std::size_t len = 0;
        svcauth_lease_get_text(handle.get(), SVCAUTH_LEASE_TEXT_AUTHORIZATION, &text, &len);
        return {text, len};
    }

  private:
    std::unique_ptr<svcauth_lease, Freed<svcauth_lease_release>> handle;
};

// One identity and the targets it calls. Any number of threads may use one at the same time.
class Client {
  public:
    // Throws Error where the file is not what it should be. Touches no network.
    explicit Client(std::string_view path)
    {
        svcauth_transport *made = nullptr;
        svcauth_error *error = nullptr;
        check(svcauth_transport_open(path.data(), path.size(), nullptr, &made, &error), error);
        handle.reset(made);
    }

    std::uint32_t target(std::string_view name) const
    {
        std::uint32_t number = 0;
        svcauth_error *error = nullptr;
        check(svcauth_transport_target(handle.get(), name.data(), name.size(), &number, &error), error);
        return number;
    }

    // The service's own token for a target; waits for it where there is none.
    Lease lease(std::uint32_t target) const
    {
        svcauth_lease *lease = nullptr;
        svcauth_error *error = nullptr;
        check(svcauth_transport_lease(handle.get(), target, SVCAUTH_WAIT_AS_CONFIGURED, &lease, &error), error);
        return Lease(lease);
    }

    svcauth_transport_counters counters() const
    {
        svcauth_transport_counters counters{};
        svcauth_error *error = nullptr;
        check(svcauth_transport_stats(handle.get(), &counters, &error), error);
        return counters;
    }

  private:
    static void check(svcauth_result result, svcauth_error *error)
    {
        if (result != SVCAUTH_RESULT_OK)
            throw Error(result, error);
    }

    std::unique_ptr<svcauth_transport, Freed<svcauth_transport_free>> handle;
};

} // namespace svcauth

#endif
