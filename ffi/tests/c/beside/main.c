// One program with two libraries in Rust.
#include "svcauth.h"

#include <stdio.h>
#include <string.h>

uint32_t other_sum(uint32_t up_to);

int main(void)
{
    static const char wrong[] = "{\"targts\":{}}";
    svcauth_error *error = NULL;
    const char *text = NULL;
    size_t len = 0;
    if (other_sum(4) != 10)
        return 1;
    if (svcauth_config_check(wrong, strlen(wrong), &error) != SVCAUTH_RESULT_INVALID_CONFIGURATION)
        return 2;
    if (svcauth_error_get_text(error, SVCAUTH_ERROR_TEXT_MEMBER, &text, &len) != SVCAUTH_RESULT_OK || len == 0)
        return 3;
    svcauth_error_free(error);
    if (other_sum(4) != 10)
        return 4;
    puts("both work, and both catch");
    return 0;
}
