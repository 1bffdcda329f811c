#include "bench/plot.h"

#include "engine/base/error.h"

/* In gnuplot's single quotes only the quote itself is special; it is doubled. */
static void quoted(const char *text, struct buf *out)
{
    buf_u8(out, '\'');
    for (; *text; text++) {
        if (*text == '\'')
            buf_u8(out, '\'');
        buf_u8(out, (uint8_t)*text);
    }
    buf_u8(out, '\'');
}

/* One curve of the CSV: the given column for one operation. Zeros (seconds without a success) are
 * left out when a logarithmic axis could not show them. NaN stands for rows of the others; the
 * script declares it missing, so that a line runs across them. */
static void curve(const char *verb, int column, const char *name, bool log_axis, struct buf *out)
{
    buf_printf(out,
               "csv every ::1 using (strcol(2) eq '%s' && strcol(1) ne 'total' ? $1 : NaN):", verb);
    if (log_axis)
        buf_printf(out, "($%d > 0 ? $%d : NaN)", column, column);
    else
        buf_printf(out, "%d", column);
    buf_printf(out, " with linespoints pointtype 7 pointsize 0.4 title '%s%s'", verb, name);
}

struct column {
    int number;
    const char *name;
};

static void curves(const bool shown[WORKLOAD_VERBS], const struct column *columns, bool log_axis,
                   struct buf *out)
{
    const char *separator = "plot ";
    for (int v = 0; v < WORKLOAD_VERBS; v++)
        for (const struct column *c = columns; shown[v] && c->number; c++) {
            buf_printf(out, "%s", separator);
            curve(workload_verb_name((enum workload_verb)v), c->number, c->name, log_axis, out);
            separator = ", \\\n     ";
        }
    buf_printf(out, "\n");
}

void plot_script(const bool shown[WORKLOAD_VERBS], const char *csv_path, const char *png_path,
                 const char *title, struct buf *out)
{
    static const struct column throughput[] = {{4, ""}, {0, NULL}};
    static const struct column latency[] = {{6, " p50"}, {8, " p99"}, {9, " p99.9"}, {0, NULL}};
    buf_printf(out, "csv = ");
    quoted(csv_path, out);
    buf_printf(out, "\nset terminal pngcairo size 1200,900\nset output ");
    quoted(png_path, out);
    buf_printf(
        out,
        "\nset datafile separator ','\nset datafile missing NaN\nset grid\nset key outside right\n"
        "set multiplot layout 2,1 title ");
    quoted(title, out);
    buf_printf(out, " noenhanced\nset xlabel 'time (s)'\nset xrange [0:*]\n"
                    "set ylabel 'operations per second'\nset yrange [0:*]\n");
    curves(shown, throughput, false, out);
    buf_printf(out, "set ylabel 'latency (us)'\nset yrange [*:*]\nset logscale y\n");
    curves(shown, latency, true, out);
    buf_printf(out, "unset multiplot\n");
}
