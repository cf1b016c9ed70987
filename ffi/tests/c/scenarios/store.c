#include "store.h"
#include "show.h"

#include <stdlib.h>
#include <string.h>

void store_start(host_store *store)
{
    *store = (host_store){.records = json_object(), .versions = json_object(), .locks = json_object(),
                          .fences = json_object()};
}

void store_end(host_store *store)
{
    json_decref(store->records);
    json_decref(store->versions);
    json_decref(store->locks);
    json_decref(store->fences);
    free(store->fails);
}

static void write_record(host_store *store, const char *key, json_t *record)
{
    json_object_set_new(store->records, key, record);
    json_object_set_new(store->versions, key, json_integer((json_int_t)++store->last_version));
}

void store_change(host_store *store, json_t *change)
{
    const char *key;
    json_t *value;
    json_object_foreach(json_object_get(change, "records"), key, value) {
        if (json_is_null(value)) {
            json_object_del(store->records, key);
            json_object_del(store->versions, key);
        } else {
            write_record(store, key, json_incref(value));
        }
    }
    json_object_foreach(json_object_get(change, "locks"), key, value) {
        json_object_del(store->locks, key);
        json_object_del(store->fences, key);
        if (json_is_integer(value))
            json_object_set_new(store->locks, key, json_integer(MONO_START + json_integer_value(value)));
    }
    value = json_object_get(change, "fails");
    if (value != NULL) {
        free(store->fails);
        store->fails = json_is_string(value) ? strdup(json_string_value(value)) : NULL;
    }
}

svcauth_result store_use(host *host, const svcauth_output *task, uint64_t id)
{
    host_store *store = &host->store;
    svcauth_client *client = host->client;
    uint64_t mono = host_mono(host), wall = host_wall(host);
    svcauth_store_info info;
    if (store->fails != NULL)
        return svcauth_client_complete_failed(client, id, store->fails, strlen(store->fails), mono, wall, NULL);
    svcauth_result result = svcauth_output_store(task, &info);
    if (result != SVCAUTH_RESULT_OK)
        return result;

    char *key = output_text(task, SVCAUTH_OUTPUT_TEXT_KEY);
    uint64_t version = (uint64_t)json_integer_value(json_object_get(store->versions, key));
    uint64_t until = (uint64_t)json_integer_value(json_object_get(store->locks, key));
    svcauth_store_outcome outcome = SVCAUTH_STORE_OUTCOME_DONE;
    uint64_t number = 0;
    switch (info.operation) {
    case SVCAUTH_STORE_OPERATION_GET: {
        json_t *record = json_object_get(store->records, key);
        char *text = record == NULL ? NULL : json_dumps(record, JSON_COMPACT | JSON_ENCODE_ANY);
        result = svcauth_client_complete_record(client, id, (const uint8_t *)text, text == NULL ? 0 : strlen(text),
                                                version, mono, wall, NULL);
        free(text);
        free(key);
        return result;
    }
    case SVCAUTH_STORE_OPERATION_PUT:
        outcome = version == info.version ? SVCAUTH_STORE_OUTCOME_STORED : SVCAUTH_STORE_OUTCOME_CONFLICT;
        if (outcome == SVCAUTH_STORE_OUTCOME_STORED) {
            write_record(store, key, output_json(task, SVCAUTH_OUTPUT_TEXT_VALUE));
            number = store->last_version;
        }
        break;
    case SVCAUTH_STORE_OPERATION_LOCK:
        if (until > host->mono_ms) {
            outcome = SVCAUTH_STORE_OUTCOME_HELD;
            number = until - host->mono_ms;
        } else {
            outcome = SVCAUTH_STORE_OUTCOME_LOCKED;
            number = ++store->last_fence;
            json_object_set_new(store->fences, key, json_integer((json_int_t)number));
            json_object_set_new(store->locks, key, json_integer((json_int_t)(host->mono_ms + info.ttl_ms)));
        }
        break;
    case SVCAUTH_STORE_OPERATION_UNLOCK:
        if (json_integer_value(json_object_get(store->fences, key)) == (json_int_t)info.fence) {
            json_object_del(store->locks, key);
            json_object_del(store->fences, key);
        }
        break;
    default:
        free(key);
        return svcauth_client_complete_unsupported(client, id, mono, wall, NULL);
    }
    free(key);
    return svcauth_client_complete_store(client, id, outcome, number, mono, wall, NULL);
}

json_t *store_show(const host *host)
{
    json_t *locks = json_object(), *until;
    const char *key;
    json_object_foreach(host->store.locks, key, until) {
        if ((uint64_t)json_integer_value(until) > host->mono_ms)
            json_object_set_new(locks, key, json_integer(json_integer_value(until) - MONO_START));
    }
    return json_pack("{s:O, s:o}", "records", host->store.records, "locks", locks);
}
