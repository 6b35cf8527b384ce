# mcpgwd. GNU make. Everything that is made lands in $(OBJ).

PREFIX		= /usr/local
SBINDIR		= $(PREFIX)/sbin
LIBEXECDIR	= $(PREFIX)/libexec/mcpgwd
MANDIR		= $(PREFIX)/share/man
SYSCONFDIR	= /etc/mcpgwd
DESTDIR		=
ifdef SANITIZE
OBJ		= obj/sanitize
else
OBJ		= obj
endif
NPM		= $(CURDIR)/obj/npm

CC		?= cc
AR		?= ar
INSTALL		= install
PKG_INC		:=

WARN		= -Wall -Wextra -Wshadow -Wstrict-prototypes \
		  -Wmissing-prototypes -Wpointer-arith -Wcast-qual -Wformat=2
HARDEN		= -fstack-protector-strong -fPIE -fno-common
LDHARDEN	= -pie -Wl,-z,relro,-z,now,-z,noexecstack,--as-needed
CETFLAG		:= $(shell echo 'int x;' | $(CC) -fcf-protection=full -x c \
		  -c -o /dev/null - 2>/dev/null && echo -fcf-protection=full)
CLASHFLAG	:= $(shell echo 'int x;' | $(CC) -Werror \
		  -fstack-clash-protection -x c -c -o /dev/null - \
		  2>/dev/null && echo -fstack-clash-protection)
ifdef SANITIZE
OPT		= -O1 -g -fsanitize=address,undefined \
		  -fno-sanitize-recover=undefined -fno-omit-frame-pointer \
		  -DSANITIZE
else
OPT		= -O2 -g -D_FORTIFY_SOURCE=2
HARDEN		+= $(CETFLAG) $(CLASHFLAG)
endif
CFLAGS		?=
ALLCFLAGS	= -std=gnu11 $(OPT) $(WARN) $(HARDEN) -D_GNU_SOURCE -Icommon \
		  -DLIBEXECDIR='"$(LIBEXECDIR)"' -MMD -MP $(CFLAGS)
ALLLDFLAGS	= $(OPT) $(LDHARDEN) $(LDFLAGS)

COMMON		= $(wildcard common/*.c)
MASTER		= $(wildcard master/*.c)
WORKER		= $(wildcard worker/*.c)
AUTHD		= $(wildcard authd/*.c)
RUNNER		= $(filter-out runner/nanny.c,$(wildcard runner/*.c))
CTL		= $(wildcard mcpgwctl/*.c)

# The file with main() of each program; the rest goes into an archive that the
# unit tests and fuzz targets link with as well.
LIBCOMMON	= $(OBJ)/libcommon.a
LIBS_master	= -lyaml -levent_core
LIBS_worker	= -levent_core -lssl -lcrypto
LIBS_authd	= -levent_core -lcrypto -ldb -lcrypt
LIBS_runner	= -levent_core
LIBS_nanny	=
LIBS_mcpgwctl	=
LIBS_common	= -levent_core -lcrypto

PROGS		= $(OBJ)/mcpgwd $(OBJ)/worker $(OBJ)/authd $(OBJ)/runner \
		  $(OBJ)/nanny $(OBJ)/mcpgwctl

all: $(PROGS)

objs = $(patsubst %.c,$(OBJ)/o/%.o,$(1))

$(OBJ)/o/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(CC) $(ALLCFLAGS) -c -o $@ $<

$(LIBCOMMON): $(call objs,$(COMMON))
	@rm -f $@
	$(AR) rcs $@ $^

$(OBJ)/libmaster.a: $(call objs,$(filter-out master/mcpgwd.c,$(MASTER)))
	@rm -f $@
	$(AR) rcs $@ $^
$(OBJ)/libworker.a: $(call objs,$(filter-out worker/main.c,$(WORKER)))
	@rm -f $@
	$(AR) rcs $@ $^
$(OBJ)/libauthd.a: $(call objs,$(filter-out authd/main.c,$(AUTHD)))
	@rm -f $@
	$(AR) rcs $@ $^
$(OBJ)/librunner.a: $(call objs,$(filter-out runner/main.c,$(RUNNER)))
	@rm -f $@
	$(AR) rcs $@ $^
$(OBJ)/libmcpgwctl.a: $(call objs,$(filter-out mcpgwctl/mcpgwctl.c,$(CTL)))
	@rm -f $@
	$(AR) rcs $@ $^

$(OBJ)/mcpgwd: $(OBJ)/o/master/mcpgwd.o $(OBJ)/libmaster.a $(LIBCOMMON)
	$(CC) $(ALLLDFLAGS) -o $@ $^ $(LIBS_master)
$(OBJ)/worker: $(OBJ)/o/worker/main.o $(OBJ)/libworker.a $(LIBCOMMON)
	$(CC) $(ALLLDFLAGS) -o $@ $^ $(LIBS_worker)
$(OBJ)/authd: $(OBJ)/o/authd/main.o $(OBJ)/libauthd.a $(LIBCOMMON)
	$(CC) $(ALLLDFLAGS) -o $@ $^ $(LIBS_authd)
$(OBJ)/runner: $(OBJ)/o/runner/main.o $(OBJ)/librunner.a $(LIBCOMMON)
	$(CC) $(ALLLDFLAGS) -o $@ $^ $(LIBS_runner)
$(OBJ)/nanny: $(OBJ)/o/runner/nanny.o $(LIBCOMMON)
	$(CC) $(ALLLDFLAGS) -o $@ $^ $(LIBS_nanny)
$(OBJ)/mcpgwctl: $(OBJ)/o/mcpgwctl/mcpgwctl.o $(OBJ)/libmcpgwctl.a $(LIBCOMMON)
	$(CC) $(ALLLDFLAGS) -o $@ $^ $(LIBS_mcpgwctl)

# ---- tests: regress/unit/DIR_SUBJECT_test.c is linked with DIR's archive ----

UNIT		= $(wildcard regress/unit/*_test.c)
UNITBIN		= $(patsubst regress/unit/%.c,$(OBJ)/regress/unit/%,$(UNIT))
dirof		= $(firstword $(subst _, ,$(notdir $(1))))

unit: $(UNITBIN)

define unit_rule
$(OBJ)/regress/unit/$(1): $(OBJ)/o/regress/unit/$(1).o \
    $(if $(filter common,$(call dirof,$(1))),,$(OBJ)/lib$(call dirof,$(1)).a) \
    $(LIBCOMMON)
	@mkdir -p $$(@D)
	$$(CC) $$(ALLLDFLAGS) -o $$@ $$^ $$(LIBS_$(call dirof,$(1)))
endef
$(foreach u,$(UNIT),$(eval $(call unit_rule,$(notdir $(basename $(u))))))

# ---- fuzz: regress/fuzz/DIR_SUBJECT_fuzz.c, clang and libFuzzer ----

FUZZ		= $(wildcard regress/fuzz/*_fuzz.c)
FUZZBIN		= $(patsubst regress/fuzz/%.c,$(OBJ)/fuzz/%,$(FUZZ))
FUZZCC		= clang
FUZZFLAGS	= -std=gnu11 -O1 -g -fsanitize=fuzzer-no-link,address,undefined \
		  -fno-sanitize-recover=undefined -D_GNU_SOURCE -Icommon -MMD -MP
fobjs		= $(patsubst %.c,$(OBJ)/fuzz/%.o,$(1))

$(OBJ)/fuzz/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(FUZZCC) $(FUZZFLAGS) -c -o $@ $<
$(OBJ)/fuzz/libcommon.a: $(call fobjs,$(COMMON))
	@rm -f $@; $(AR) rcs $@ $^
$(OBJ)/fuzz/libmaster.a: $(call fobjs,$(filter-out master/mcpgwd.c,$(MASTER)))
	@rm -f $@; $(AR) rcs $@ $^
$(OBJ)/fuzz/libworker.a: $(call fobjs,$(filter-out worker/main.c,$(WORKER)))
	@rm -f $@; $(AR) rcs $@ $^
$(OBJ)/fuzz/librunner.a: $(call fobjs,$(filter-out runner/main.c,$(RUNNER)))
	@rm -f $@; $(AR) rcs $@ $^
$(OBJ)/fuzz/libauthd.a: $(call fobjs,$(filter-out authd/main.c,$(AUTHD)))
	@rm -f $@; $(AR) rcs $@ $^
define fuzz_rule
$(OBJ)/fuzz/$(1): $(OBJ)/fuzz/regress/fuzz/$(1).o \
    $(if $(filter common,$(call dirof,$(1))),,$(OBJ)/fuzz/lib$(call dirof,$(1)).a) \
    $(OBJ)/fuzz/libcommon.a
	$$(FUZZCC) -fsanitize=fuzzer,address,undefined -o $$@ $$^ \
	    $$(LIBS_$(call dirof,$(1)))
endef
$(foreach u,$(FUZZ),$(eval $(call fuzz_rule,$(notdir $(basename $(u))))))

fuzzers: $(FUZZBIN)

# ---- what comes from npm: MCP servers and clients, and a Node for them ----

NODE		= $(NPM)/node_modules/.bin/node

$(NPM)/.done: regress/npm/package.json regress/npm/package-lock.json
	@mkdir -p $(@D)
	cp $^ $(@D)
	cd $(@D) && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

# ---- the two commands of the README ----

# Each of its servers has a user of its own (root only).
DEMOUSERS	= _mcpevery _mcpfiles _mcpmemory _mcpthinking

run:
	@sh etc/deps.sh run
	@echo "mcpgwd: building into $(OBJ)"
	@$(MAKE) -s --no-print-directory -j$$(nproc) all $(NPM)/.done
	@sh etc/users.sh $(DEMOUSERS)
	@OBJ=$(OBJ) MCPGW_NPM=$(NPM) exec $(NODE) etc/demo/run.mjs

# ONLY="unit live" and LIVE="http oauth" choose; SANITIZE=1 builds with
# AddressSanitizer and UBSan.
RUNTEST		= OBJ=$(OBJ) MCPGW_NPM=$(NPM) SANITIZE=$(SANITIZE) \
		  ONLY="$(ONLY)" LIVE="$(LIVE)" exec sh regress/run.sh
TESTBUILD	= $(MAKE) -s --no-print-directory -j$$(nproc) all unit \
		  $(NPM)/.done $(if $(SANITIZE),,fuzzers)

test:
	@sh etc/deps.sh test
	@$(TESTBUILD)
	@$(RUNTEST)

test-full:
	@sh etc/deps.sh test
	@$(TESTBUILD)
	@FULL=1 $(RUNTEST)

T		= 60
fuzz: fuzzers
	@FUZZTIME=$(T) ONLY=fuzz OBJ=$(OBJ) exec sh regress/run.sh

# ROWS="nginx haproxy memory start stdio" chooses, SECONDS_PER_RUN=3 and PAIRS=5
# say how long and how often.
BENCHSRC	= $(OBJ)/o/regress/bench
BENCHNPM	= $(OBJ)/bench/npm
BENCH		= $(addprefix $(OBJ)/bench/,load sink echo)
$(OBJ)/bench/load: $(addprefix $(BENCHSRC)/,load.o client.o util.o)
$(OBJ)/bench/sink: $(addprefix $(BENCHSRC)/,sink.o server.o util.o)
$(OBJ)/bench/echo: $(addprefix $(BENCHSRC)/,echo.o server.o util.o)
$(BENCH):
	@mkdir -p $(@D)
	$(CC) $(ALLLDFLAGS) -o $@ $^
$(BENCHNPM)/.done: regress/bench/package.json regress/bench/package-lock.json
	@mkdir -p $(@D)
	cp $^ $(@D)
	cd $(@D) && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

bench:
	@sh etc/deps.sh bench
	@$(MAKE) -s --no-print-directory -j$$(nproc) all $(BENCH) \
	    $(NPM)/.done $(BENCHNPM)/.done
	@sh etc/users.sh
	@OBJ=$(OBJ) MCPGW_NPM=$(NPM) ROWS="$(ROWS)" PAIRS=$(PAIRS) \
	    SECONDS_PER_RUN=$(SECONDS_PER_RUN) exec sh regress/bench/run.sh

lint:
	@sh etc/deps.sh test
	clang-format --dry-run -Werror $(SOURCES)
	cppcheck -q --std=c11 --enable=warning,portability,performance \
	    --error-exitcode=1 --inline-suppr --suppress=missingIncludeSystem \
	    --suppress=varFuncNullUB \
	    $(addprefix --include=,$(QUEUE_H)) -Icommon \
	    $(COMMON) $(MASTER) $(WORKER) $(AUTHD) $(RUNNER) \
	    runner/nanny.c $(CTL)
	mandoc -T lint -W warning $(MAN)

MAN		= mcpgwd.conf.5 $(wildcard man/*.[1-9])
# cppcheck reads no system headers, but cannot do without the list macros.
QUEUE_H		= $(firstword $(wildcard \
		  /usr/include/$(shell $(CC) -print-multiarch)/sys/queue.h \
		  /usr/include/sys/queue.h))
SOURCES		= $(wildcard $(addsuffix /*.[ch],common master worker authd \
		  runner mcpgwctl regress/unit regress/fuzz regress/fault \
		  regress/bench))

install: all
	$(INSTALL) -d $(DESTDIR)$(SBINDIR) $(DESTDIR)$(LIBEXECDIR) \
	    $(DESTDIR)$(MANDIR)/man5 $(DESTDIR)$(MANDIR)/man8
	$(INSTALL) -m 755 $(OBJ)/mcpgwd $(OBJ)/mcpgwctl $(DESTDIR)$(SBINDIR)
	$(INSTALL) -m 755 $(OBJ)/worker $(OBJ)/authd $(OBJ)/runner \
	    $(OBJ)/nanny $(DESTDIR)$(LIBEXECDIR)
	for m in $(MAN); do \
		$(INSTALL) -m 644 $$m $(DESTDIR)$(MANDIR)/man$${m##*.} || exit 1; \
	done

clean:
	rm -rf $(OBJ)

-include $(shell find $(OBJ) -mindepth 1 \( -name npm -o -name sanitize \) \
    -prune -o -name '*.d' -type f -print 2>/dev/null)

.PHONY: all unit fuzzers clean run test test-full fuzz bench lint install
.SECONDARY:
