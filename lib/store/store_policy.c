/*
 * store_policy — what SQL an agent may run: the same as on Cloudflare.
 *
 * Promise: default is no. Only "main" is visible; names that start with _cf_ are ours; transactions go through the storage API.
 * The lists follow workerd (src/workerd/util/sqlite.c++ and src/workerd/api/sql.c++), with its argument shapes.
 * An authorizer runs while a statement is compiled, also when SQLite compiles it again in the middle of a step.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/store/store_internal.h"

#define TRANSACTIONS_REFUSED                                                                                           \
    "To execute a transaction, please use the state.storage.transaction() or state.storage.transactionSync() APIs "    \
    "instead of the SQL BEGIN TRANSACTION or SAVEPOINT statements. The JavaScript API is safer because it will "       \
    "automatically roll back on exceptions, and because it interacts correctly with Durable Objects' automatic "       \
    "atomic write coalescing."

/* In strcmp order: looked up by bisection. */
static const char *const functions_allowed[] = {
    "->", "->>", "abs", "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "avg", "bm25", "ceil", "changes", "char",
    "coalesce", "concat", "concat_ws", "cos", "cosh", "count", "cume_dist", "current_date", "current_time",
    "current_timestamp", "date", "datetime", "degrees", "dense_rank", "exp", "first_value", "floor", "format", "glob",
    "group_concat", "hex", "highlight", "ifnull", "iif", "instr", "json", "json_array", "json_array_length", "json_each",
    "json_extract", "json_group_array", "json_group_object", "json_insert", "json_object", "json_patch", "json_quote",
    "json_remove", "json_replace", "json_set", "json_tree", "json_type", "json_valid", "jsonb", "jsonb_array",
    "jsonb_extract", "jsonb_group_array", "jsonb_group_object", "jsonb_insert", "jsonb_object", "jsonb_patch",
    "jsonb_remove", "jsonb_replace", "jsonb_set", "julianday", "lag", "last_insert_rowid", "last_value", "lead", "length",
    "like", "likelihood", "likely", "ln", "load_extension", "log", "log2", "lower", "ltrim", "match", "max", "max_scalar",
    "min", "min_scalar", "mod", "nth_value", "ntile", "nullif", "octet_length", "percent_rank", "pi", "pow", "printf",
    "quote", "radians", "random", "randomblob", "rank", "replace", "round", "row_number", "rtreecheck", "rtrim", "sign",
    "sin", "sinh", "snippet", "soundex", "sqlite_drop_column", "sqlite_rename_column", "sqlite_rename_quotefix",
    "sqlite_rename_table", "sqlite_rename_test", "sqrt", "strftime", "string_agg", "substr", "substring", "sum", "tan",
    "tanh", "time", "timediff", "total", "total_changes", "trim", "trunc", "typeof", "unhex", "unicode", "unixepoch",
    "unlikely", "upper", "zeroblob",
};

enum pragma_shape { PRAGMA_BARE, PRAGMA_BOOLEAN, PRAGMA_NAME, PRAGMA_OPTIONAL_NAME, PRAGMA_NUMBER, PRAGMA_NUMBER_OR_NAME, PRAGMA_ANY };

static const struct {
    const char       *name;
    enum pragma_shape shape;
} pragmas_allowed[] = {
    { "table_list", PRAGMA_ANY },                      /* that our tables exist is no secret */
    { "table_info", PRAGMA_NAME },
    { "table_xinfo", PRAGMA_NAME },
    { "data_version", PRAGMA_BARE },
    { "page_size", PRAGMA_BARE },                      /* rtree asks for it itself */
    { "case_sensitive_like", PRAGMA_BOOLEAN },
    { "foreign_keys", PRAGMA_BOOLEAN },
    { "defer_foreign_keys", PRAGMA_BOOLEAN },
    { "ignore_check_constraints", PRAGMA_BOOLEAN },
    { "legacy_alter_table", PRAGMA_BOOLEAN },
    { "recursive_triggers", PRAGMA_BOOLEAN },
    { "reverse_unordered_selects", PRAGMA_BOOLEAN },
    { "foreign_key_check", PRAGMA_OPTIONAL_NAME },
    { "foreign_key_list", PRAGMA_NAME },
    { "index_info", PRAGMA_NAME },
    { "index_list", PRAGMA_NAME },
    { "index_xinfo", PRAGMA_NAME },
    { "quick_check", PRAGMA_NUMBER_OR_NAME },
    { "optimize", PRAGMA_NUMBER },
};

static const char *const modules_allowed[] = { "fts5", "fts5vocab", "rtree", "rtree_i32" };

static bool
name_is_allowed(const char *name)
{
    return name != NULL && strncasecmp(name, "_cf_", 4) != 0;
}

static int
function_compare(const void *key, const void *row)
{
    return strcmp(key, *(const char *const *)row);
}

static bool
function_is_allowed(const char *name)
{
    return name != NULL && bsearch(name, functions_allowed, ARRAY_LEN(functions_allowed), sizeof functions_allowed[0],
                                   function_compare) != NULL;
}

static bool
module_is_allowed(const char *name)
{
    for (size_t i = 0; name != NULL && i < ARRAY_LEN(modules_allowed); i++)
        if (strcasecmp(name, modules_allowed[i]) == 0)
            return true;
    return false;
}

/* As generous as workerd: quoted or not, and only the beginning counts. */
static bool
text_is_boolean(const char *text)
{
    static const char *const words[] = { "true", "false", "yes", "no", "on", "off", "1", "0" };
    size_t len = strlen(text);

    if (len >= 2 && (text[0] == '\'' || text[0] == '"') && text[len - 1] == text[0])
        text++;
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (strncasecmp(text, words[i], strlen(words[i])) == 0)
            return true;
    return false;
}

static bool
text_is_number(const char *text)
{
    const char *digits = text[0] == '-' ? text + 1 : text;

    if (digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'X'))
        return digits[2] != '\0' && strspn(digits + 2, "0123456789abcdefABCDEF") == strlen(digits + 2);
    return digits[0] != '\0' && strspn(digits, "0123456789") == strlen(digits);
}

static bool
pragma_fits(enum pragma_shape shape, const char *arg)
{
    switch (shape) {
    case PRAGMA_ANY:
        return true;
    case PRAGMA_BARE:
        return arg == NULL;
    case PRAGMA_BOOLEAN:
        return arg == NULL || text_is_boolean(arg);
    case PRAGMA_NAME:
        return name_is_allowed(arg);
    case PRAGMA_OPTIONAL_NAME:
        return arg == NULL || name_is_allowed(arg);
    case PRAGMA_NUMBER:
        return arg == NULL || text_is_number(arg);
    case PRAGMA_NUMBER_OR_NAME:
        return arg == NULL || text_is_number(arg) || name_is_allowed(arg);
    }
    return false;
}

static bool
pragma_is_allowed(const char *name, const char *arg)
{
    for (size_t i = 0; name != NULL && i < ARRAY_LEN(pragmas_allowed); i++)
        if (strcmp(name, pragmas_allowed[i].name) == 0)
            return pragma_fits(pragmas_allowed[i].shape, arg);
    return false;
}

static bool
action_is_allowed(struct store *store, int action, const char *first, const char *second)
{
    switch (action) {
    case SQLITE_SELECT:
    case SQLITE_RECURSIVE:
    case SQLITE_ANALYZE:                   /* of all tables: PRAGMA optimize does it, and statistics are no data */
        return true;
    case SQLITE_CREATE_TABLE:
    case SQLITE_DELETE:
    case SQLITE_DROP_TABLE:
    case SQLITE_INSERT:
    case SQLITE_CREATE_VIEW:
    case SQLITE_DROP_VIEW:
    case SQLITE_REINDEX:
    case SQLITE_READ:
    case SQLITE_UPDATE:
        return name_is_allowed(first);
    case SQLITE_ALTER_TABLE:               /* second: the new name of a RENAME TO (sqlite.patch) */
        return name_is_allowed(first) && (second == NULL || name_is_allowed(second));
    case SQLITE_CREATE_INDEX:
    case SQLITE_DROP_INDEX:
    case SQLITE_CREATE_TRIGGER:
    case SQLITE_DROP_TRIGGER:
        return name_is_allowed(first) && name_is_allowed(second);
    case SQLITE_CREATE_VTABLE:
    case SQLITE_DROP_VTABLE:
        return module_is_allowed(second) && name_is_allowed(first);
    case SQLITE_FUNCTION:
        return function_is_allowed(second);
    case SQLITE_PRAGMA:
        store->pragma_writes = store->pragma_writes || (first != NULL && strcasecmp(first, "optimize") == 0);
        return pragma_is_allowed(first, second);
    case SQLITE_TRANSACTION:
    case SQLITE_SAVEPOINT:
        store->refusal = TRANSACTIONS_REFUSED;
        return false;
    default:                               /* ATTACH, DETACH, everything temporary, and what SQLite may still invent */
        return false;
    }
}

static int
policy_authorize(void *owner, int action, const char *first, const char *second, const char *schema, const char *inner)
{
    struct store *store = owner;

    if (store->is_trusted)
        return SQLITE_OK;
    /* These two say the schema first. */
    if (action == SQLITE_ALTER_TABLE || action == SQLITE_DETACH) {
        const char *table = second;
        second = schema;
        schema = first;
        first = table;
    }
    if (schema != NULL && strcmp(schema, "temp") == 0)
        return (action == SQLITE_READ || action == SQLITE_UPDATE) && name_is_allowed(first) ? SQLITE_OK : SQLITE_DENY;
    if (schema != NULL && strcmp(schema, "main") != 0)
        return SQLITE_DENY;
    return action_is_allowed(store, action, first, second) ? SQLITE_OK : SQLITE_DENY;
}

/* The one allowed function that SQLite was built without: it exists on Cloudflare, to refuse. */
static void
load_extension_refuse(sqlite3_context *context, int argc, sqlite3_value **argv)
{
    sqlite3_result_error(context, "not authorized", -1);
}

void
policy_apply(struct store *store)
{
    sqlite3 *db = store->db;
    int rc = sqlite3_create_function(db, "load_extension", -1, SQLITE_UTF8, NULL, load_extension_refuse, NULL, NULL);

    assert(rc == SQLITE_OK);               /* it only fails without memory */

    (void)sqlite3_limit(db, SQLITE_LIMIT_LENGTH, STORE_VALUE_MAX_BYTES);      /* sqlite3_limit returns the old value */
    (void)sqlite3_limit(db, SQLITE_LIMIT_SQL_LENGTH, STORE_SQL_MAX_BYTES);
    (void)sqlite3_limit(db, SQLITE_LIMIT_COLUMN, STORE_COLUMNS_MAX);
    (void)sqlite3_limit(db, SQLITE_LIMIT_EXPR_DEPTH, STORE_EXPR_DEPTH_MAX);
    (void)sqlite3_limit(db, SQLITE_LIMIT_COMPOUND_SELECT, STORE_COMPOUND_MAX);
    (void)sqlite3_limit(db, SQLITE_LIMIT_VDBE_OP, STORE_VDBE_OPS_MAX);
    (void)sqlite3_limit(db, SQLITE_LIMIT_FUNCTION_ARG, STORE_FUNCTION_ARGS_MAX);
    (void)sqlite3_limit(db, SQLITE_LIMIT_ATTACHED, 0);
    (void)sqlite3_limit(db, SQLITE_LIMIT_LIKE_PATTERN_LENGTH, STORE_LIKE_PATTERN_MAX);
    (void)sqlite3_limit(db, SQLITE_LIMIT_VARIABLE_NUMBER, STORE_BINDINGS_MAX);
    (void)sqlite3_limit(db, SQLITE_LIMIT_TRIGGER_DEPTH, STORE_TRIGGER_DEPTH_MAX);
    (void)sqlite3_limit(db, SQLITE_LIMIT_WORKER_THREADS, 0);
    (void)sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);          /* fails for unknown verbs only */
    (void)sqlite3_set_authorizer(db, policy_authorize, store);                /* never fails */
}
