// SPDX-License-Identifier: Apache-2.0
// Whether a Raspberry Pi holds its processor back, as its firmware says: the number that `vcgencmd
// get_throttled` prints. Source: Raspberry Pi documentation, vcgencmd and the mailbox property interface (tag
// 0x00030046).
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "program.h"

#define SYSFS         "/sys/devices/platform/soc/soc:firmware/get_throttled"
#define MAILBOX       "/dev/vcio"
#define MAILBOX_CALL  (3ul << 30 | sizeof(char *) << 16 | 100ul << 8) // _IOWR(100, 0, char *)
#define GET_THROTTLED 0x00030046u
#define ANSWERED      0x80000000u

// Bits 16 to 19 say the same of the time since the board was started.
static const char *const reasons[4] = {"low supply voltage", "capped clock", "throttled",
                                       "limit of temperature"};

static int of_sysfs(uint32_t *bits) {
    char text[32];
    const int file = open(SYSFS, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return 0;
    }
    const ssize_t n = read(file, text, sizeof text - 1);
    (void)close(file);
    if (n < 1) {
        return 0;
    }
    text[n] = 0;
    char *end = text;
    const unsigned long value = strtoul(text, &end, 16);
    *bits = (uint32_t)value;
    return end != text && value <= UINT32_MAX;
}

static int of_mailbox(uint32_t *bits) {
    uint32_t words[7] = {sizeof words, 0, GET_THROTTLED, sizeof(uint32_t), 0, 0, 0};
    const int file = open(MAILBOX, O_RDWR | O_CLOEXEC);
    if (file < 0) {
        return 0;
    }
    const long code = syscall(SYS_ioctl, file, MAILBOX_CALL, words);
    (void)close(file);
    *bits = words[5];
    return code >= 0 && words[1] == ANSWERED;
}

int eb_throttled(uint32_t *bits) {
    return of_sysfs(bits) || of_mailbox(bits);
}

void eb_throttle_warn(FILE *to) {
    uint32_t bits = 0;
    if (!eb_throttled(&bits) || (bits & 0xF000Fu) == 0) {
        return;
    }
    const uint32_t now = bits & 0xFu;
    const uint32_t shown = now != 0 ? now : bits >> 16;
    (void)fprintf(to, "warning: the board %s: ",
                  now != 0 ? "holds its processor back" : "has held its processor back since it was started");
    const char *gap = "";
    for (int i = 0; i < 4; i++) {
        if (shown >> i & 1u) {
            (void)fprintf(to, "%s%s", gap, reasons[i]);
            gap = ", ";
        }
    }
    (void)fprintf(to, " (0x%lx). %s\n", (unsigned long)bits,
                  shown & 1u ? "Use the supply that the board is made for"
                             : "Cool it; rates are below what it can do");
}
