/* base/list.h - a circular list through the objects themselves. */
// SPDX-License-Identifier: ISC
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next, *prev;
};

#define list_of(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))
#define list_each(at, head)                                                                        \
    for (struct list *at = (head)->next, *at##_next = at->next; at != (head);                      \
         at = at##_next, at##_next = at->next)

static inline void list_init(struct list *head)
{
    head->next = head->prev = head;
}
static inline bool list_empty(const struct list *head)
{
    return head->next == head;
}

static inline void list_add(struct list *head, struct list *link) /* at the end */
{
    link->prev = head->prev;
    link->next = head;
    head->prev->next = link;
    head->prev = link;
}

static inline void list_remove(struct list *link) /* harmless when already out */
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    list_init(link);
}
