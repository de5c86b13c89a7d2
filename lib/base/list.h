/* list — intrusive doubly linked lists with a head. Promise: every operation is O(1); a node is in one list at most. */
#ifndef DORMOUSE_BASE_LIST_H
#define DORMOUSE_BASE_LIST_H

#include "lib/base/macros.h"

struct list_node {
    struct list_node *prev;
    struct list_node *next;
};

static inline void list_init(struct list_node *head) { head->prev = head->next = head; }
static inline bool list_is_empty(const struct list_node *head) { return head->next == head; }
/* A zeroed node is in no list; list_remove leaves it so. */
static inline bool list_is_linked(const struct list_node *node) { return node->next != NULL; }

static inline void
list_insert_before(struct list_node *at, struct list_node *node)
{
    node->prev = at->prev;
    node->next = at;
    at->prev->next = node;
    at->prev = node;
}

static inline void list_push_back(struct list_node *head, struct list_node *node) { list_insert_before(head, node); }
static inline void list_push_front(struct list_node *head, struct list_node *node) { list_insert_before(head->next, node); }

static inline void
list_remove(struct list_node *node)
{
    if (!list_is_linked(node))
        return;
    node->prev->next = node->next;
    node->next->prev = node->prev;
    node->prev = node->next = NULL;
}

#define list_entry(node, type, member) container_of(node, type, member)
#define list_first(head, type, member) (list_is_empty(head) ? NULL : list_entry((head)->next, type, member))
/* Safe against removal of the current entry. May be nested (on lines of their own: the names carry the line). */
#define LIST_JOIN_(a, b) a##b
#define LIST_NAME_(a, b) LIST_JOIN_(a, b)
#define LIST_AT_         LIST_NAME_(list_at_, __LINE__)
#define LIST_NEXT_       LIST_NAME_(list_next_, __LINE__)
#define list_each(var, head, type, member)                                                                            \
    for (struct list_node *LIST_AT_ = (head)->next, *LIST_NEXT_ = LIST_AT_->next;                                      \
         LIST_AT_ != (head) && ((var) = list_entry(LIST_AT_, type, member), true);                                     \
         LIST_AT_ = LIST_NEXT_, LIST_NEXT_ = LIST_AT_->next)

#endif
