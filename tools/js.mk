# The runtime library: js/ → one classic script beside the executables, and its hash.
JS_OUT  := build/js
JS_SRCS := $(shell find js -name '*.js' -not -path 'js/build/*')

.PHONY: js
js: $(JS_OUT)/runtime.js $(JS_OUT)/runtime.sha256 ## bundle the runtime library

# No: it makes every closure define its name when it is created, on every request. Class names are kept by not
# minifying identifiers; js/runtime.js sets those that the bundler had to rename.
$(JS_OUT)/runtime.js: $(JS_SRCS) tools/js.mk package.json
	@mkdir -p $(@D); echo "  JS $@"
	@$(NPM)/.bin/esbuild js/runtime.js --bundle --format=iife --platform=neutral --main-fields=module,main --target=es2023 \
	  --minify-syntax --charset=utf8 --log-level=warning --outfile=$@.new
	@mv $@.new $@

$(JS_OUT)/runtime.sha256: $(JS_OUT)/runtime.js
	@sha256sum $< | cut -d' ' -f1 > $@
