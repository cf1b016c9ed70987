// Scenarios as core/scenarios/README.md describes them: laid one over the other, names written out.
#ifndef SCENARIO_H
#define SCENARIO_H

#include <jansson.h>

// A file's content; the program ends where it cannot be read.
json_t *read_file(const char *folder, const char *name);

// What stands above laid over what stands below: the base, the file, the case.
json_t *overlay(const json_t *below, const json_t *above);

// What of it a host runs, with values in the place of their names.
json_t *written_out(const json_t *scenario);

#endif
