// What the validator is made of. Change it together with validator.c.
#pragma once

#include "weir.h"

// A validator in the making: made once for each batch, from what it was deployed with.
typedef struct {
    // A JSON object: {"temperature": {"min": -40, "max": 85}}
    const char *limits;
} validator;

// Reads the configuration. Where it is wrong, says why in `problem` and returns false: the batch fails with that sentence.
bool validator_new(validator *self, const char *config, char problem[WEIR_TEXT]);

// Judges one value of a reading. The verdict is to accept until something else is said.
void validator_check(const validator *self, const weir_reading *reading, weir_verdict *verdict);
