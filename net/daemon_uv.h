/*
 * What every daemon does, whatever its role: the flags that all have, the data folder with the
 * engine in it, the loop around the machine, the ready line, the end and its exit code.
 *
 *   daemon_begin, argp with daemon_flags, daemon_options_check
 *   daemon_folder_open      lock, index, engine
 *   daemon_loop_open        the loop around the role's machine
 *   daemon_listen           the port of the first start is the role's to remember
 *   daemon_run              until a signal, or until something fails
 *   daemon_close            backwards; the exit code
 *
 * What fails says so at once, in one line on stderr; its error is remembered and decides the exit
 * code: 74 when the disk of the data folder failed, otherwise the error's own.
 */
#ifndef GT_NET_DAEMON_UV_H
#define GT_NET_DAEMON_UV_H

#include <argp.h>

#include "engine/base/program.h"
#include "engine/base/units.h"
#include "net/loop_uv.h"

#define EXIT_DISK 74

struct daemon_options {
    const char *data_dir;
    struct address listen, advertise;
    bool advertised;
    enum log_level log_level;
};

struct daemon {
    const char *role;  /* "node", "manager": the folder's; the program is gtstore-ROLE */
    const char *label; /* as its flags say, for messages; may be NULL */
    struct daemon_options options;
    struct log log;
    struct events events;
    struct disk *disk;
    struct index *index;
    struct engine *engine;
    bool born_filling; /* as engine_config has it; set before the folder is opened */
    struct loop *loop;
    struct address bound, told; /* the listener's, and the one that others are told */
    uint32_t sockets_max;
    void *arg; /* of effect */
    void (*effect)(void *arg, const struct gt_effect *e);
    int error; /* GT_E* of what failed first; its line was printed */
};

/* argv is the program's; the listen address is the default of its flag. */
void daemon_begin(struct daemon *d, const char *role, const char *listen, char **argv);
/* --data-dir, --listen, --advertise, --log-level. The parser's input is the daemon. */
extern const struct argp daemon_flags;
/* Parses; ends the program when a flag is wrong. The table's own child is daemon_flags. */
void daemon_options_parse(const struct argp *table, int argc, char **argv, void *input);
/* What the flags of all daemons must be together; ends the program when they are not. */
void daemon_options_check(const struct daemon *d);

/* A value of a flag, or the end of the program with a line that says what is allowed. */
uint64_t daemon_number(const char *flag, const char *text, uint64_t low, uint64_t high);
uint64_t daemon_duration_us(const char *flag, const char *text);
uint64_t daemon_size(const char *flag, const char *text, uint64_t low, uint64_t high);
void daemon_address(const char *flag, const char *text, struct address *out);

/* label: for who asks why the folder is locked; may be NULL. segment_bytes, map_bytes: of log and
 * index. 0 or GT_E*. */
int daemon_folder_open(struct daemon *d, const char *label, uint64_t segment_bytes,
                       uint64_t map_bytes);
/* The machine is not asked anything before daemon_run. effect: READY and IDENTITY, with arg; FAIL
 * is handled here. 0 or GT_E*. */
int daemon_loop_open(struct daemon *d, struct gt_machine machine, void *arg,
                     void (*effect)(void *arg, const struct gt_effect *e));
/* Binds: to the port that was remembered (0: none) when any will do. Fills in bound and told. */
int daemon_listen(struct daemon *d, uint16_t port_remembered);
/* The line that says that the daemon serves. */
void daemon_ready(const struct daemon *d, const char *label);
/* Something failed: one line, the first error is remembered, a running loop ends. Returns error. */
__attribute__((format(printf, 3, 4))) int daemon_fail(struct daemon *d, int error,
                                                      const char *format, ...);
/* The same for an error of engine or index: GT_EIO means that the disk failed, which ends as a
 * poisoned log does; GT_ECORRUPT names the way out. */
int daemon_fail_storage(struct daemon *d, int error, const char *what);
int daemon_run(struct daemon *d);
/* Closes whatever is open. The machine is no more used then. Returns the exit code. */
int daemon_close(struct daemon *d);

#endif
