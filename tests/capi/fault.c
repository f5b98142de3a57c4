/* A report read after it was freed: what a sanitizer is there to find, in memory of the library. */
#include "check.h"

int main(void) {
    pipelane_message *message;
    OK(pipelane_message_new(&message));
    pipelane_message_free(message);
    return ((volatile char *)message)[0] == 1;
}
