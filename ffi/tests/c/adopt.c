// A lease goes from one client to another of the same configuration, as text.
#include "check.h"

#define WALL 1700000000000u
#define DOCUMENT                                                                     \
    "{ \"endpoints\": { \"token\": \"https://issuer.example/oauth2/token\" },"                       \
    "  \"client\": { \"credentials\": [ { \"client_id\": \"bss\", \"client_secret\": { \"value\": \"s\" } } ] }," \
    "  \"targets\": { \"smd\": { \"urls\": [\"https://smd.example/hsm/v2\"], \"scopes\": [\"read\"] } } }"

static svcauth_client *new_client(uint64_t now)
{
    svcauth_client *client;
    OK(svcauth_client_new(TEXT(DOCUMENT), 0, now, now, WALL + now, &client, NULL));
    return client;
}

// Does what the client wants at that time; the events' names that came, one a line.
static void settle(svcauth_client *client, uint64_t now, char *events)
{
    static const char answer[] = "{\"access_token\":\"first-token\",\"token_type\":\"bearer\",\"expires_in\":3600}";
    *events = 0;
    for (;;) {
        svcauth_output *output;
        svcauth_output_kind kind;
        svcauth_task_info task;
        uint64_t until;
        OK(svcauth_client_poll(client, now, WALL + now, &output, &until, NULL));
        if (output == NULL)
            return;
        OK(svcauth_output_get_kind(output, &kind));
        if (kind == SVCAUTH_OUTPUT_KIND_SEND) {
            OK(svcauth_output_task(output, &task));
            OK(svcauth_client_complete_response(client, task.id, 200, TEXT("Content-Type: application/json\n"),
                                                (const uint8_t *)answer, sizeof answer - 1, now, WALL + now, NULL));
        } else if (kind == SVCAUTH_OUTPUT_KIND_EVENT) {
            const char *json;
            size_t len;
            OK(svcauth_output_get_text(output, SVCAUTH_OUTPUT_TEXT_EVENT, &json, &len));
            CHECK(!has(json, len, "first-token"));
            if (has(json, len, "\"event\":\"lease_adopted\""))
                strcat(events, "adopted\n");
            if (has(json, len, "\"event\":\"token_requested\""))
                strcat(events, "requested\n");
        }
        OK(svcauth_output_free(output));
    }
}

static svcauth_lease *lease_of(svcauth_client *client, uint64_t now, svcauth_token_state expected)
{
    svcauth_token_state state;
    svcauth_lease *lease;
    OK(svcauth_client_token(client, 0, now, WALL + now, &state, &lease, NULL));
    CHECK(state == expected);
    return lease;
}

static svcauth_adoption adopt(svcauth_client *client, svcauth_text *record, svcauth_record_clock clock, uint64_t now)
{
    const char *text;
    size_t len;
    svcauth_adoption what;
    OK(svcauth_text_get(record, &text, &len));
    OK(svcauth_client_adopt(client, 0, text, len, clock, now, WALL + now, &what, NULL));
    return what;
}

int main(void)
{
    char events[256];
    svcauth_client *first = new_client(0), *second, *third;
    svcauth_lease *lease;
    svcauth_text *record;
    svcauth_lease_info before, after;
    const char *text;
    size_t len;

    CHECK(lease_of(first, 0, SVCAUTH_TOKEN_STATE_PENDING) == NULL);
    settle(first, 0, events);
    CHECK(strcmp(events, "requested\n") == 0);
    lease = lease_of(first, 0, SVCAUTH_TOKEN_STATE_READY);
    OK(svcauth_lease_get_info(lease, &before));
    OK(svcauth_lease_record(lease, 60000, WALL + 60000, &record, NULL));
    OK(svcauth_lease_release(lease));
    OK(svcauth_client_free(first));

    // The same clock: it is served as it was, and nothing is requested.
    second = new_client(70000);
    CHECK(adopt(second, record, SVCAUTH_RECORD_CLOCK_SAME, 70000) == SVCAUTH_ADOPTION_ADOPTED);
    settle(second, 70000, events);
    CHECK(strcmp(events, "adopted\n") == 0);
    lease = lease_of(second, 70000, SVCAUTH_TOKEN_STATE_READY);
    OK(svcauth_lease_get_text(lease, SVCAUTH_LEASE_TEXT_VALUE, &text, &len));
    CHECK(is_text(text, len, "first-token"));
    OK(svcauth_lease_get_info(lease, &after));
    CHECK(after.id == before.id && after.expires_at_ms == before.expires_at_ms);
    CHECK(after.serve_until_ms == before.serve_until_ms && after.expires_at_wall_ms == before.expires_at_wall_ms);
    OK(svcauth_lease_release(lease));
    // One that it has already is not taken again.
    CHECK(adopt(second, record, SVCAUTH_RECORD_CLOCK_SAME, 70000) == SVCAUTH_ADOPTION_NOT_ADOPTED);
    OK(svcauth_client_free(second));

    // Another clock, which was started anew: what the wall clock says counts.
    third = new_client(5);
    svcauth_adoption what;
    OK(svcauth_text_get(record, &text, &len));
    OK(svcauth_client_adopt(third, 0, text, len, SVCAUTH_RECORD_CLOCK_SAME, 5, WALL + 70000, &what, NULL));
    CHECK(what == SVCAUTH_ADOPTION_NOT_ADOPTED);
    OK(svcauth_client_adopt(third, 0, text, len, SVCAUTH_RECORD_CLOCK_OTHER, 5, WALL + 70000, &what, NULL));
    CHECK(what == SVCAUTH_ADOPTION_ADOPTED);
    lease = lease_of(third, 5, SVCAUTH_TOKEN_STATE_READY);
    OK(svcauth_lease_get_info(lease, &after));
    CHECK(after.id == before.id && after.expires_at_ms == 5 + 3600000 - 70000);
    OK(svcauth_lease_release(lease));
    OK(svcauth_client_free(third));

    // It has ended: the client is asked as always.
    third = new_client(3600000);
    CHECK(adopt(third, record, SVCAUTH_RECORD_CLOCK_SAME, 3600000) == SVCAUTH_ADOPTION_NOT_ADOPTED);
    CHECK(lease_of(third, 3600000, SVCAUTH_TOKEN_STATE_PENDING) == NULL);
    OK(svcauth_client_free(third));

    OK(svcauth_text_free(record));
    puts("adopt: as told");
    return 0;
}
