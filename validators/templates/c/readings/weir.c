// See weir.h. Not to be changed.
#include "weir.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void weir_reject(weir_verdict *verdict, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(verdict->reason, WEIR_TEXT, format, arguments);
    va_end(arguments);
    verdict->rejected = true;
}

void weir_suspect(weir_verdict *verdict) { verdict->suspicious = true; }

void weir_replace(weir_verdict *verdict, double number) {
    verdict->number = number;
    verdict->replaced = true;
}

void weir_log(weir_level level, const char *format, ...) {
    char line[WEIR_TEXT];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, WEIR_TEXT, format, arguments);
    va_end(arguments);
    weir_log_line(level, line);
}

// Weir hands over JSON that is sound; where it is not, these stop at its end and find nothing.

static const char *space(const char *at) {
    while (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r') at++;
    return at;
}

// From the opening quote to behind the closing one.
static const char *past_string(const char *at) {
    for (at++; *at != '\0' && *at != '"'; at++) {
        if (*at == '\\' && at[1] != '\0') at++;
    }
    return *at == '"' ? at + 1 : at;
}

static const char *past_value(const char *at) {
    size_t depth = 0;
    do {
        if (*at == '"') {
            at = past_string(at);
            continue;
        }
        if (*at == '{' || *at == '[') depth++;
        if (*at == '}' || *at == ']') {
            if (depth == 0) return at;
            depth--;
        }
        if (depth == 0 && *at == ',') return at;
        if (*at != '\0') at++;
    } while (*at != '\0' && !(depth == 0 && (*at == ',' || *at == '}' || *at == ']')));
    return at;
}

const char *weir_json_member(const char *object, const char *key, size_t key_length) {
    if (object == NULL || *object != '{') return NULL;
    const char *at = space(object + 1);
    while (*at == '"') {
        const char *name = at + 1;
        at = past_string(at);
        const size_t length = (size_t)(at - name) - 1;
        at = space(at);
        if (*at != ':') return NULL;
        at = space(at + 1);
        if (length == key_length && memcmp(name, key, length) == 0) return at;
        at = space(past_value(at));
        if (*at != ',') return NULL;
        at = space(at + 1);
    }
    return NULL;
}

bool weir_json_number(const char *value, double *number) {
    if (value == NULL || (*value != '-' && (*value < '0' || *value > '9'))) return false;
    char *end;
    *number = strtod(value, &end);
    return end != value;
}
