// Holds numbers to limits: what is outside is rejected. This is the file to change, with validator.h.
#include "validator.h"

#include <stdio.h>

bool validator_new(validator *self, const char *config, char problem[WEIR_TEXT]) {
    self->limits = weir_json_member(config, "limits", 6);
    if (self->limits != NULL && *self->limits != '{') {
        snprintf(problem, WEIR_TEXT, "the configuration is wrong at `limits`: give an object, metric to `min` and `max`");
        return false;
    }
    return true;
}

void validator_check(const validator *self, const weir_reading *reading, weir_verdict *verdict) {
    const char *range = weir_json_member(self->limits, reading->metric, reading->metric_length);
    double min, max;
    if (range == NULL || reading->kind != WEIR_NUMBER) return;
    if (!weir_json_number(weir_json_member(range, "min", 3), &min) || !weir_json_number(weir_json_member(range, "max", 3), &max)) {
        weir_reject(verdict, "the configuration is wrong at `limits.%.*s`: give the numbers `min` and `max`",
                    (int)reading->metric_length, reading->metric);
        return;
    }
    if (reading->number >= min && reading->number <= max) return;
    const bool below = reading->number < min;
    weir_reject(verdict, "%.*s is %g, %s the limit of %g", (int)reading->metric_length, reading->metric, reading->number,
                below ? "below" : "above", below ? min : max);
    weir_log(WEIR_INFO, "%.*s: %s", (int)reading->sensor_length, reading->sensor, verdict->reason);
}
