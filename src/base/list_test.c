// SPDX-License-Identifier: ISC
#include "base/list.h"

#include "base/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

struct item {
    int number;
    struct list link;
};

static void keeps_order_and_may_shrink_while_walked(void **state)
{
    struct list head;
    struct item items[5];
    int seen = 0;

    list_init(&head);
    assert_true(list_empty(&head));
    for (size_t i = 0; i < countof(items); i++) {
        items[i].number = (int)i;
        list_add(&head, &items[i].link);
    }
    list_each (at, &head) {
        struct item *item = list_of(at, struct item, link);
        assert_int_equal(item->number, seen);
        seen++;
        list_remove(at);
        list_remove(at); /* harmless */
    }
    assert_int_equal(seen, countof(items));
    assert_true(list_empty(&head));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_order_and_may_shrink_while_walked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
