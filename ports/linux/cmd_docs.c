/* cmd_docs.c - han2x registers and han2x settings: the program's tables as documentation. */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "hx/registers.h"
#include "hx/settings.h"

#define FIRST_SIZE 65536u
#define LAST_SIZE (16u * 1024u * 1024u) /* a table that needs more is a fault of ours */

struct format {
    const char *name;
    void (*write)(struct hx_wr *w);
};

static void settings_conf(struct hx_wr *w)
{
    struct hx_settings s;
    hx_settings_init(&s);
    hx_settings_file(w, &s);
}

/* han2x.conf(5) around the table. */
static void settings_man(struct hx_wr *w)
{
    hx_wr_str(w,
              ".TH HAN2X.CONF 5 \"\" \"han2x " HX_VERSION "\"\n"
              ".SH NAME\nhan2x.conf \\- settings of the han2x gateway\n"
              ".SH SYNOPSIS\n.I /etc/han2x/han2x.conf\n"
              ".SH DESCRIPTION\n"
              "Lines of the form KEY = VALUE in [sections]. A # at the beginning of a line or\n"
              "behind a blank begins a comment. A value may stand in double quotes to keep # and\n"
              "blanks at its ends; inside them \\e\" and \\e\\e stand for \" and \\e.\n"
              "Every key has a default, so an empty file works. An unknown key or a value that\n"
              "is not allowed stops the start; a running gateway keeps its old settings.\n"
              ".PP\n"
              "The environment variable HAN2X_SECTION_KEY goes before the file, and the option\n"
              "\\-s section.key=value before both. A secret and the file that may hold it\n"
              "(password_file) push each other out: the one set last counts.\n"
              ".SH SETTINGS\n");
    hx_settings_man(w);
    hx_wr_str(w, ".SH SEE ALSO\n.BR han2x (1)\n");
}

/* Writes the document into a buffer that grows until it fits, then to standard output. */
static int print(const char *command, const struct format *f)
{
    for (size_t size = FIRST_SIZE; size <= LAST_SIZE; size *= 2) {
        struct hx_wr w = {.ptr = malloc(size), .cap = size};
        if (w.ptr == NULL)
            break;
        f->write(&w);
        if (w.err == HX_OK)
            (void)fwrite(w.ptr, 1, w.len, stdout); /* command_finish_output looks for errors */
        free(w.ptr);
        if (w.err == HX_OK)
            return command_finish_output(command);
    }
    (void)fprintf(stderr, "han2x %s: out of memory\n", command);
    return EXIT_FAILED;
}

static int unknown_format(const char *command, const char *name, const struct format *formats,
                          size_t count)
{
    uint8_t allowed[64];
    struct hx_wr w = {.ptr = allowed, .cap = sizeof allowed};
    for (size_t i = 0; i < count; i++) {
        hx_wr_str(&w, i > 0 ? ", " : "");
        hx_wr_str(&w, formats[i].name);
    }
    return command_usage(command, "there is no format '%s'; allowed: %.*s", name, (int)w.len,
                         (const char *)allowed);
}

/* The command line has one option, --format; the first format is the default. */
static int document(int argc, char **argv, const struct format *formats, size_t count)
{
    static const struct option options[] = {{"format", required_argument, NULL, 'f'},
                                            {NULL, 0, NULL, 0}};
    const char *name = formats[0].name;
    int option;
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":f:", options, NULL)) != -1) {
        if (option == ':')
            return command_usage(argv[0], "%s needs a value", argv[optind - 1]);
        if (option != 'f')
            return command_usage(argv[0], "there is no option '%s'", argv[optind - 1]);
        name = optarg;
    }
    if (optind < argc)
        return command_usage(argv[0], "'%s' is too much", argv[optind]);
    for (size_t i = 0; i < count; i++)
        if (strcmp(formats[i].name, name) == 0)
            return print(argv[0], &formats[i]);
    return unknown_format(argv[0], name, formats, count);
}

int cmd_registers(int argc, char **argv)
{
    static const struct format formats[] = {
        {"md", hx_registers_markdown}, {"csv", hx_registers_csv}, {"json", hx_registers_json}};
    return document(argc, argv, formats, sizeof formats / sizeof formats[0]);
}

int cmd_settings(int argc, char **argv)
{
    static const struct format formats[] = {{"md", hx_settings_markdown},
                                            {"json", hx_settings_json},
                                            {"man", settings_man},
                                            {"conf", settings_conf}};
    return document(argc, argv, formats, sizeof formats / sizeof formats[0]);
}
