// An inventory in C++17: many threads call SMD with one client, and one token request serves them all.
//
//     inventory svcauth.json smd https://smd.example/hsm/v2/State/Components/x0c0s0b0n0
#include "http.h"
#include "svcauth.hpp"

#include <atomic>
#include <curl/curl.h>
#include <iostream>
#include <thread>
#include <vector>

namespace {

constexpr int threads = 16;

std::uint32_t call(const svcauth::Lease &lease, std::string_view url)
{
    std::string header = "Authorization: ";
    header.append(lease.authorization()).append("\r\n");
    http_answer answer{};
    http_send({"GET", 3}, {url.data(), url.size()}, {header.data(), header.size()}, {nullptr, 0}, &answer);
    const std::uint32_t status = answer.status;
    http_free(&answer);
    return status;
}

int run(std::string_view configuration, std::string_view name, std::string_view url)
{
    const svcauth::Client client(configuration);
    const std::uint32_t target = client.target(name);
    std::atomic<int> worked{0};
    std::vector<std::thread> callers;
    for (int i = 0; i < threads; i++) {
        callers.emplace_back([&] {
            try {
                worked += call(client.lease(target), url) == 200;
            } catch (const svcauth::Error &error) {
                std::cerr << error.what() << '\n';
            }
        });
    }
    for (std::thread &caller : callers)
        caller.join();
    std::cout << worked << " of " << threads << " calls worked, with " << client.counters().client.token_requests
              << " token request\n";
    return worked == threads ? 0 : 1;
}

} // namespace

int main(int count, char **arguments)
{
    if (count != 4) {
        std::cerr << "usage: " << arguments[0] << " svcauth.json TARGET URL\n";
        return 2;
    }
    curl_global_init(CURL_GLOBAL_DEFAULT);
    int code = 1;
    try {
        code = run(arguments[1], arguments[2], arguments[3]);
    } catch (const svcauth::Error &error) {
        std::cerr << error.what() << '\n';
    }
    curl_global_cleanup();
    return code;
}
