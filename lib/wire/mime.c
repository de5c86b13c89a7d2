/* mime — see the header. Sorted by extension for the binary search. */
#include "lib/wire/mime.h"

#include <string.h>

struct mime_row {
    const char *extension;
    const char *type;
};
static const struct mime_row rows[] = {
    { "7z", "application/x-7z-compressed" },
    { "aac", "audio/aac" },
    { "apng", "image/apng" },
    { "atom", "application/atom+xml" },
    { "avif", "image/avif" },
    { "bmp", "image/bmp" },
    { "bz2", "application/x-bzip2" },
    { "cjs", "application/node" },
    { "css", "text/css; charset=utf-8" },
    { "csv", "text/csv; charset=utf-8" },
    { "eot", "application/vnd.ms-fontobject" },
    { "flac", "audio/x-flac" },
    { "gif", "image/gif" },
    { "glb", "model/gltf-binary" },
    { "gltf", "model/gltf+json" },
    { "gz", "application/gzip" },
    { "htm", "text/html; charset=utf-8" },
    { "html", "text/html; charset=utf-8" },
    { "ico", "image/vnd.microsoft.icon" },
    { "ics", "text/calendar; charset=utf-8" },
    { "jpeg", "image/jpeg" },
    { "jpg", "image/jpeg" },
    { "js", "text/javascript; charset=utf-8" },
    { "json", "application/json" },
    { "json5", "application/json5" },
    { "jsonld", "application/ld+json" },
    { "jxl", "image/jxl" },
    { "m4a", "audio/mp4" },
    { "m4v", "video/x-m4v" },
    { "map", "application/json" },
    { "markdown", "text/markdown; charset=utf-8" },
    { "md", "text/markdown; charset=utf-8" },
    { "mjs", "text/javascript; charset=utf-8" },
    { "mov", "video/quicktime" },
    { "mp3", "audio/mpeg" },
    { "mp4", "video/mp4" },
    { "oga", "audio/ogg" },
    { "ogg", "audio/ogg" },
    { "ogv", "video/ogg" },
    { "opus", "audio/ogg" },
    { "otf", "font/otf" },
    { "pdf", "application/pdf" },
    { "png", "image/png" },
    { "rss", "application/rss+xml" },
    { "svg", "image/svg+xml" },
    { "tar", "application/x-tar" },
    { "tif", "image/tiff" },
    { "tiff", "image/tiff" },
    { "ttf", "font/ttf" },
    { "txt", "text/plain; charset=utf-8" },
    { "vtt", "text/vtt; charset=utf-8" },
    { "wasm", "application/wasm" },
    { "wav", "audio/wav" },
    { "weba", "audio/webm" },
    { "webm", "video/webm" },
    { "webmanifest", "application/manifest+json" },
    { "webp", "image/webp" },
    { "woff", "font/woff" },
    { "woff2", "font/woff2" },
    { "xhtml", "application/xhtml+xml" },
    { "xml", "application/xml" },
    { "yaml", "text/yaml; charset=utf-8" },
    { "yml", "text/yaml; charset=utf-8" },
    { "zip", "application/zip" },
};

const char *
mime_of(struct bytes path)
{
    char extension[16];
    size_t at = path.len, n = 0, low = 0, high = ARRAY_LEN(rows);

    while (at > 0 && path.data[at - 1] != '.' && path.data[at - 1] != '/')
        at--;
    if (at == 0 || path.data[at - 1] != '.' || path.len - at >= sizeof extension)
        return NULL;
    for (; at < path.len; at++)
        extension[n++] = (char)(path.data[at] >= 'A' && path.data[at] <= 'Z' ? path.data[at] | 0x20 : path.data[at]);
    extension[n] = 0;
    while (low < high) {
        size_t mid = (low + high) / 2;
        int order = strcmp(extension, rows[mid].extension);
        if (order == 0)
            return rows[mid].type;
        if (order < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return NULL;
}
