// SPDX-License-Identifier: Apache-2.0
// The tester on the machine that builds it.
#include <stdio.h>
#include <time.h>

#include "check.h"

const char *const eb_check_tick_unit = "ns of processor time";

void eb_check_write(const char *text) {
    fputs(text, stdout);
    fflush(stdout);
}

uint64_t eb_check_ticks(void) {
    return (uint64_t)clock() * (1000000000u / (uint64_t)CLOCKS_PER_SEC);
}

int main(int argc, char **argv) {
    return eb_check_main(argc, (const char *const *)argv);
}
