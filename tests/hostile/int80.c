// A 32-bit call from a 64-bit program: getpid by int 0x80.
#include "say.h"

int main(void) {
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(20) : "memory", "r8", "r9", "r10", "r11");
    printf("survived %ld\n", result);
    return 0;
}
