// The validator without WebAssembly:  mkdir -p build && cc -o build/test test.c validator.c weir.c && build/test
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "validator.h"

static char last_line[WEIR_TEXT];

void weir_log_line(weir_level level, const char *line) {
    (void)level;
    snprintf(last_line, sizeof last_line, "%s", line);
}

static void expect(bool holds, const char *what) {
    if (holds) {
        printf("ok   %s\n", what);
        return;
    }
    printf("FAIL %s\n", what);
    exit(1);
}

static weir_verdict verdict(const char *config, const char *metric, double number) {
    validator self = {0};
    char problem[WEIR_TEXT] = "";
    weir_verdict verdict = {0};
    expect(validator_new(&self, config, problem), "the configuration is taken");
    const weir_reading reading = {
        .sensor = "room-4", .sensor_length = 6, .metric = metric, .metric_length = strlen(metric), .unit = "", .kind = WEIR_NUMBER,
        .number = number};
    validator_check(&self, &reading, &verdict);
    return verdict;
}

int main(void) {
    const char *config = "{\"note\": \"a \\\"b} \", \"other\": [1, {\"limits\": 2}], \"limits\": {\"temperature\": {\"min\": -40, \"max\": 85}}}";
    expect(!verdict(config, "temperature", 85).rejected, "the limit itself is accepted");
    expect(!verdict(config, "humidity", 900).rejected, "a metric without limits is accepted");
    weir_verdict high = verdict(config, "temperature", 86.5);
    expect(high.rejected && strcmp(high.reason, "temperature is 86.5, above the limit of 85") == 0, "above is rejected");
    expect(strcmp(last_line, "room-4: temperature is 86.5, above the limit of 85") == 0, "a rejection leaves a line in the log");
    weir_verdict low = verdict(config, "temperature", -41);
    expect(low.rejected && strcmp(low.reason, "temperature is -41, below the limit of -40") == 0, "below is rejected");
    expect(verdict("{\"limits\": {\"t\": {\"min\": 0}}}", "t", 1).rejected, "limits without a maximum are a mistake");
    expect(!verdict("{}", "t", 1).rejected, "no limits are fine");
    validator self = {0};
    char problem[WEIR_TEXT] = "";
    expect(!validator_new(&self, "{\"limits\": 3}", problem) && strstr(problem, "`limits`") != NULL, "a wrong configuration is named");
    for (const char *torn = config; *torn != '\0'; torn++) {
        char part[256];
        snprintf(part, sizeof part, "%.*s", (int)(torn - config), config);
        (void)weir_json_member(part, "limits", 6);
    }
    expect(true, "a torn configuration does no harm");
    return 0;
}
