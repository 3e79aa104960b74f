// One value of a reading after the other, and a verdict on each. Not to be changed; it needs no WebAssembly, so tests run anywhere.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The room for a reason, a problem or a line of the log, its end included. What is longer is cut.
enum { WEIR_TEXT = 512 };

typedef enum { WEIR_NUMBER, WEIR_BOOL, WEIR_STRING } weir_kind;

// One value of a reading. Its texts are UTF-8, have a length and end nowhere else: print them with "%.*s".
typedef struct {
    const char *sensor;
    size_t sensor_length;
    const char *metric;
    size_t metric_length;
    // Empty where it has none.
    const char *unit;
    size_t unit_length;
    // Microseconds since the Unix epoch, UTC.
    int64_t time;
    weir_kind kind;
    // Where it is a number.
    double number;
    // Where it is a boolean.
    bool on;
    // Where it is a text.
    const char *text;
    size_t text_length;
} weir_reading;

// What becomes of a value: nothing else is done to it until one of the functions below is called.
typedef struct {
    bool rejected, suspicious, replaced;
    double number;
    char reason[WEIR_TEXT];
} weir_verdict;

// The value is not stored, nor are the others of its reading; the reason is for its sender.
void weir_reject(weir_verdict *verdict, const char *format, ...) __attribute__((format(printf, 2, 3)));
// The reading is stored with the quality `suspect`.
void weir_suspect(weir_verdict *verdict);
// The value is stored as this number, which must be finite.
void weir_replace(weir_verdict *verdict, double number);

typedef enum { WEIR_DEBUG, WEIR_INFO, WEIR_WARN, WEIR_ERROR } weir_level;
// A line for the tenant's own eyes. A call may leave 100 of them.
void weir_log(weir_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
// Where the lines go. main.c hands them to Weir, a test may keep them.
void weir_log_line(weir_level level, const char *line);

// The value of a member of a JSON object, as a pointer into the same text; NULL where there is none, or where this is no object.
// The key is compared as it is written: escapes in it are not resolved.
const char *weir_json_member(const char *object, const char *key, size_t key_length);
// Reads a JSON number; false where this is none.
bool weir_json_number(const char *value, double *number);
