#ifndef TEST_H
#define TEST_H

/*
 * What a unit test needs: CHECK counts and names what failed, TEST_END is the
 * last line of main.
 */
#include <stdio.h>

static unsigned int test_checks, test_failed;

#define CHECK(cond)                                                       \
	do {                                                              \
		test_checks++;                                            \
		if (!(cond)) {                                            \
			test_failed++;                                    \
			printf("%s:%d: %s\n", __FILE__, __LINE__, #cond); \
		}                                                         \
	} while (0)

#define TEST_END()                                                          \
	do {                                                                \
		printf("%s: %u checks, %u failed\n", __FILE__, test_checks, \
		    test_failed);                                           \
		return test_failed != 0;                                    \
	} while (0)

#endif
