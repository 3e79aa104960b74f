// What Weir calls: from its batches, which are in columns, to one value after the other, and back. Not to be changed: the validator is
// in validator.c.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bindings/reading_validator.h"
#include "validator.h"

void weir_log_line(weir_level level, const char *line) {
    reading_validator_string_t message = {(uint8_t *)line, strlen(line)};
    weir_validator_log_write((weir_validator_log_level_t)level, &message);
}

static const char *name(const reading_validator_list_string_t *names, uint32_t at, size_t *length) {
    *length = names->ptr[at].len;
    return (const char *)names->ptr[at].ptr;
}

// The text of a row, if it has one: they come in rising order of the row.
static const reading_validator_string_t *text(const exports_weir_validator_readings_batch_t *batch, uint32_t row, size_t *next) {
    return *next < batch->text.len && batch->text.ptr[*next].f0 == row ? &batch->text.ptr[(*next)++].f1 : NULL;
}

static weir_reading reading(const exports_weir_validator_readings_batch_t *batch, uint32_t row, size_t *next_text) {
    weir_reading reading = {.time = batch->time.ptr[row], .kind = WEIR_NUMBER, .number = batch->value.ptr[row]};
    reading.sensor = name(&batch->sensors, batch->sensor.ptr[row], &reading.sensor_length);
    reading.metric = name(&batch->metrics, batch->metric.ptr[row], &reading.metric_length);
    reading.unit = name(&batch->units, batch->unit.ptr[row], &reading.unit_length);
    const reading_validator_string_t *written = text(batch, row, next_text);
    if (written != NULL && isnan(reading.number)) {
        reading.kind = WEIR_STRING;
        reading.text = (const char *)written->ptr;
        reading.text_length = written->len;
    } else if (written != NULL) {
        reading.kind = WEIR_BOOL;
        reading.on = reading.number != 0;
    }
    return reading;
}

bool exports_weir_validator_readings_check(exports_weir_validator_readings_batch_t *batch,
                                           exports_weir_validator_readings_outcome_t *outcome,
                                           reading_validator_string_t *error) {
    memset(outcome, 0, sizeof *outcome);
    reading_validator_string_t json;
    weir_validator_config_json(&json);
    char *config = malloc(json.len + 1);
    const size_t rows = batch->time.len;
    // As many as there can be: each row has one verdict.
    outcome->rejected.ptr = malloc((rows + 1) * sizeof *outcome->rejected.ptr);
    outcome->suspect.ptr = malloc((rows + 1) * sizeof *outcome->suspect.ptr);
    outcome->value.ptr = malloc((rows + 1) * sizeof *outcome->value.ptr);
    // Out of memory: Weir reports it as such.
    if (config == NULL || outcome->rejected.ptr == NULL || outcome->suspect.ptr == NULL || outcome->value.ptr == NULL) __builtin_trap();
    memcpy(config, json.ptr, json.len);
    config[json.len] = '\0';
    validator self;
    char problem[WEIR_TEXT] = "";
    memset(&self, 0, sizeof self);
    if (!validator_new(&self, config, problem)) {
        reading_validator_string_dup(error, problem);
        return false;
    }
    size_t next_text = 0;
    for (uint32_t row = 0; row < rows; row++) {
        const weir_reading shown = reading(batch, row, &next_text);
        weir_verdict verdict;
        verdict.rejected = verdict.suspicious = verdict.replaced = false;
        validator_check(&self, &shown, &verdict);
        if (verdict.rejected) {
            exports_weir_validator_readings_rejection_t *rejection = &outcome->rejected.ptr[outcome->rejected.len++];
            rejection->row = row;
            reading_validator_string_dup(&rejection->reason, verdict.reason);
            continue;
        }
        if (verdict.suspicious) outcome->suspect.ptr[outcome->suspect.len++] = row;
        if (verdict.replaced) {
            reading_validator_tuple2_u32_f64_t *value = &outcome->value.ptr[outcome->value.len++];
            value->f0 = row;
            value->f1 = verdict.number;
        }
    }
    // Weir drops the instance after the call: what the batch and the configuration took needs no freeing.
    return true;
}
