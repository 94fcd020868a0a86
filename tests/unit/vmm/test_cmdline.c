/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel command line: order, the place before `--', and the limit. */
#include "vmm/x86/cmdline.h"

#include "conf/expect.h"

static struct cmdline c;
static struct err e;

static void line_is(const char *expected)
{
	expect_msg("command line", c.text, expected);
}

static void begin(const char *text)
{
	e = (struct err){ 0 };
	CHECK_EQ(cmdline_init(&c, text, &e), 0);
}

TEST(the_default)
{
	begin(NULL);
	line_is("reboot=k panic=1 nomodule 8250.nr_uarts=0 i8042.noaux i8042.nomux i8042.dumbkbd "
		"swiotlb=noforce");
	CHECK_EQ(cmdline_add(&c, "pci=off", &e), 0);
	line_is("reboot=k panic=1 nomodule 8250.nr_uarts=0 i8042.noaux i8042.nomux i8042.dumbkbd "
		"swiotlb=noforce pci=off");
}

TEST(words_go_before_the_first_programs)
{
	static const struct {
		const char *given, *then;
	} table[] = {
		{ "", "X Y" },
		{ "a", "a X Y" },
		{ "a b=c", "a b=c X Y" },
		{ "a ", "a  X Y" },
		{ "--", "X Y --" },
		{ "-- x", "X Y -- x" },
		{ " -- x", "X Y -- x" },
		{ "a --", "a X Y --" },
		{ "a -- x y", "a X Y -- x y" },
		{ "a   --  x", "a X Y   --  x" },
		{ "a -- x -- y", "a X Y -- x -- y" },
		{ "a--", "a-- X Y" },
		{ "--a", "--a X Y" },
		{ "a --b -- c", "a --b X Y -- c" },
		{ "---", "--- X Y" },
		{ "a=\"b -- c\" d", "a=\"b -- c\" d X Y" },
		{ "a=\"b -- c\" -- d", "a=\"b -- c\" X Y -- d" },
		{ "a=\"b", "a=\"b X Y" },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
		begin(table[i].given);
		line_is(table[i].given);
		CHECK_EQ(cmdline_add(&c, "X", &e), 0);
		CHECK_EQ(cmdline_add(&c, "Y", &e), 0);
		expect_msg(table[i].given, c.text, table[i].then);
	}
}

TEST(devices)
{
	begin("a -- b");
	CHECK_EQ(cmdline_add_virtio(&c, 0xc0001000, 5, &e), 0);
	CHECK_EQ(cmdline_add_virtio(&c, 0xc0002000, 6, &e), 0);
	line_is("a virtio_mmio.device=4K@0xc0001000:5 virtio_mmio.device=4K@0xc0002000:6 -- b");
}

TEST(root_device)
{
	begin("a");
	CHECK_EQ(cmdline_add_root(&c, "", false, &e), 0);
	line_is("a root=/dev/vda rw");
	begin("a");
	CHECK_EQ(cmdline_add_root(&c, "", true, &e), 0);
	line_is("a root=/dev/vda ro");
	begin("a");
	CHECK_EQ(cmdline_add_root(&c, "0eaa91a0-01", true, &e), 0);
	line_is("a root=PARTUUID=0eaa91a0-01 ro");
}

static const char *too_long = "The kernel command line is invalid: it is longer than 2047 bytes "
			      "with what the machine adds";

TEST(the_limit)
{
	char text[2049];

	memset(text, 'a', sizeof(text));
	text[2048] = '\0';
	CHECK_EQ(cmdline_init(&c, text, &e), -E2BIG);
	expect_msg("given", e.msg, too_long);
	text[2047] = '\0';
	begin(text);
	CHECK_EQ(cmdline_add(&c, "x", &e), -E2BIG);
	line_is(text);
	text[2045] = '\0';
	begin(text);
	CHECK_EQ(cmdline_add(&c, "xy", &e), -E2BIG);
	expect_msg("added", e.msg, too_long);
	line_is(text); /* as it was */
	CHECK_EQ(cmdline_add(&c, "x", &e), 0);
	CHECK_EQ(strlen(c.text), 2047);
	CHECK_EQ(cmdline_add(&c, "", &e), -E2BIG);
}

/* The same where words are put in between: before a tail with and without a blank. */
TEST(the_limit_before_a_tail)
{
	static const char *const heads[] = { "", "h " };

	for (unsigned i = 0; i < ARRAY_SIZE(heads); i++) {
		for (size_t len = 2030; len < 2048; len++) {
			char text[2049], word[2] = "w";
			size_t head = strlen(heads[i]);

			memset(text, 't', sizeof(text));
			memcpy(text, heads[i], head);
			memcpy(text + head, "-- ", 3);
			text[len] = '\0';
			begin(text);
			if (len + 2 > 2047) {
				CHECK_EQ(cmdline_add(&c, word, &e), -E2BIG);
				line_is(text);
				continue;
			}
			CHECK_EQ(cmdline_add(&c, word, &e), 0);
			CHECK_EQ(strlen(c.text), len + 2);
			CHECK(strstr(c.text, "w -- t"));
		}
	}
}

TEST(has_a_word)
{
	static const struct {
		const char *text;
		bool has;
	} table[] = {
		{ "noapic", true },
		{ "a noapic", true },
		{ "noapic a", true },
		{ "a  noapic  b", true },
		{ "", false },
		{ "anoapic", false },
		{ "noapica", false },
		{ "noapic=1", false },
		{ "a.noapic", false },
		{ "-- noapic", false },
		{ "a -- noapic", false },
		{ "noapic -- noapic", true },
		{ "a=\"noapic\"", false },
		{ "a=\"b noapic c\"", false },
		{ "a=\"b c\" noapic", true },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
		begin(table[i].text);
		if (cmdline_has(&c, "noapic") != table[i].has)
			fprintf(stderr, "# %s\n", table[i].text);
		CHECK_EQ(cmdline_has(&c, "noapic"), table[i].has);
	}
	begin("a -- b");
	CHECK_EQ(cmdline_add(&c, "noapic x", &e), 0);
	CHECK(cmdline_has(&c, "noapic"));
}
