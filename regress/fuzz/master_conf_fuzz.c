/*
 * The config parser on anything; what loads must print to something that
 * loads. No file, environment variable or include is touched.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../master/conf.h"
#include "compat.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct strv errs = {NULL, 0};
	struct conf *a, *b;
	char *text = NULL;
	size_t len;
	FILE *f;

	if (size > 65536)
		return 0;
	a = conf_parse("fuzz", (const char *)data, size, CONF_NOSECRETS, &errs);
	if ((a == NULL) != (errs.n > 0))
		abort();
	if (a != NULL && (f = open_memstream(&text, &len)) != NULL) {
		conf_print(f, a);
		fclose(f);
		b = conf_parse("printed", text, len, CONF_NOSECRETS, &errs);
		if (b == NULL)
			abort();
		conf_free(b);
	}
	free(text);
	conf_free(a);
	strv_free(&errs);
	return 0;
}
