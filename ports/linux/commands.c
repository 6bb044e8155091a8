/* commands.c - see commands.h: one table of all commands, their help, and what they share. */
#include "commands.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "config.h"

static const struct command commands[] = {
    {"run", cmd_run, "[-c FILE] [-s KEY=VALUE]... [--state-dir DIR]",
     "the gateway, in the foreground; its log goes to standard error",
     "  -c FILE           settings file; without it " CONFIG_DEFAULT_PATH " if it is there\n"
     "  -s KEY=VALUE      one setting, such as modbus_tcp.port=5020; goes before the\n"
     "                    environment (HAN2X_MODBUS_TCP_PORT) and the file\n"
     "  --state-dir DIR   where energies, start counter and the like are kept; without it\n"
     "                    $STATE_DIRECTORY or /var/lib/han2x\n"
     "\nSIGTERM or SIGINT ends it, SIGHUP reads the settings again.\n"
     "Exit status: 0 ended by a signal, 1 start-up failed, 2 wrong usage.\n"},
    {"decode", cmd_decode, "[FILE...]", "print the telegrams in recordings, one JSON object a line",
     "Reads the files, or standard input for - or none: raw octets as from the meter, or hex\n"
     "text with white space and # comments; which of them is found out by itself.\n"
     "Complaints go to standard error, with the offset and the reason.\n"
     "Exit status: 0 every frame was good, 1 something was dropped, 2 wrong usage.\n"},
    {"simulate", cmd_simulate,
     "[--meter NAME] [--phases 1|3it|3tn] [--pace real|max] [--count N] [--seed N]\n"
     "                      [--noise BER] [--start TIME] [--solar] [-o -|FILE|pty|tcp:PORT]",
     "send what a meter would send",
     "  --meter NAME      aidon (default), kaifa or kamstrup\n"
     "  --phases KIND     1 one phase, 3it three phases without neutral, 3tn with neutral\n"
     "  --pace PACE       real (default): as a meter, max: as fast as it goes\n"
     "  --count N         stop after N telegrams; 0 is without end\n"
     "  --seed N          another number, other values; the same number, the same values\n"
     "  --noise BER       bit error rate, such as 1e-4; octets are lost at the same rate\n"
     "  --start TIME      the meter's clock at the first telegram, UTC, such as\n"
     "                    2025-01-31T23:59:50Z\n"
     "  --solar           with panels on the roof: export around midday\n"
     "  -o WHERE          - standard output (default; hex text when that is a terminal), a\n"
     "                    file, pty for a new pseudo terminal (its name is told), tcp:PORT or\n"
     "                    tcp:ADDRESS:PORT to serve all who connect; without an address only\n"
     "                    this machine\n"},
    {"registers", cmd_registers, "[--format md|csv|json]", "the Modbus register map",
     "  --format FORMAT   md Markdown (default), csv, json\n"},
    {"settings", cmd_settings, "[--format md|json|man|conf]",
     "all settings with default, range and meaning",
     "  --format FORMAT   md Markdown (default), json, man a manual page, conf a settings file\n"
     "                    with everything at its default\n"},
};
#define COMMAND_COUNT (sizeof commands / sizeof commands[0])

const struct command *command_find(const char *name)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

void command_help(const char *name, FILE *out)
{
    const struct command *c = command_find(name);
    if (c != NULL)
        (void)fprintf(out, "Usage: han2x %s %s\n%s\n\n%s", c->name, c->arguments, c->summary,
                      c->help);
}

void command_overview(FILE *out)
{
    (void)fputs("Usage: han2x COMMAND [OPTION]...\n"
                "Makes the telegrams of a Norwegian electricity meter readable over Modbus.\n\n",
                out);
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        (void)fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].summary);
    (void)fputs("\nhan2x COMMAND --help tells more; han2x --version tells the version.\n"
                "Manual pages: han2x(1), han2x.conf(5).\n",
                out);
}

/* Text for roff, which takes a plain - for a hyphen. */
static void man_text(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '-')
            (void)fputc('\\', out);
        (void)fputc(*text, out);
    }
}

static void man_command(FILE *out, const struct command *c)
{
    (void)fprintf(out, ".SS han2x %s\n.nf\n.B han2x %s\n", c->name, c->name);
    man_text(out, c->arguments);
    (void)fprintf(out, "\n.fi\n.PP\n%s.\n.PP\n.nf\n", c->summary);
    man_text(out, c->help);
    (void)fputs(".fi\n", out);
}

void command_man(FILE *out)
{
    (void)fputs(".TH HAN2X 1 \"\" \"han2x " HX_VERSION "\"\n"
                ".SH NAME\nhan2x \\- electricity meter telegrams over Modbus\n"
                ".SH SYNOPSIS\n.B han2x\nCOMMAND [OPTION]...\n"
                ".SH DESCRIPTION\n"
                "Makes the telegrams that Norwegian electricity meters send on their HAN port\n"
                "readable over Modbus TCP and Modbus RTU.\n"
                ".SH COMMANDS\n",
                out);
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        man_command(out, &commands[i]);
    (void)fputs(".SH FILES\n.TP\n.I " CONFIG_DEFAULT_PATH "\nsettings\n"
                ".TP\n.I /var/lib/han2x\nenergies, start counter and the like\n"
                ".SH SEE ALSO\n.BR han2x.conf (5)\n",
                out);
}

int command_usage(const char *name, const char *format, ...)
{
    va_list args;
    (void)fprintf(stderr, "han2x%s%s: ", name[0] != '\0' ? " " : "", name);
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fprintf(stderr, " (try: han2x%s%s --help)\n", name[0] != '\0' ? " " : "", name);
    return EXIT_USAGE;
}

int command_finish_output(const char *name)
{
    if (ferror(stdout) == 0)
        errno = 0; /* else it still tells why the write failed */
    if (fflush(stdout) == 0 && ferror(stdout) == 0)
        return EXIT_FINE;
    (void)fprintf(stderr, "han2x %s: cannot write to standard output: %s\n", name,
                  errno != 0 ? strerror(errno) : "an earlier write failed");
    return EXIT_FAILED;
}
