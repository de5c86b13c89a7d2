/*
 * form — application/x-www-form-urlencoded, as the URL Standard (section 5) writes and reads it.
 *
 * Promise: decoding accepts any bytes and gives valid UTF-8; encoding what was decoded and decoding it again changes nothing.
 */
#ifndef DORMOUSE_WIRE_FORM_H
#define DORMOUSE_WIRE_FORM_H

#include "lib/base/bytes.h"

/* Appends "&" when OUT is not empty, then "name=value". */
void form_encode_pair(struct buf *out, struct bytes name, struct bytes value);

/* Takes the next pair off *rest into NAME and VALUE (replaced). False at the end. */
bool form_decode_pair(struct bytes *rest, struct buf *name, struct buf *value);

#endif
