#include "client/verify.h"
#include "engine/base/error.h"
#include "net/loop_uv.h"

struct run {
    struct verifier *verifier;
    struct gt_machine machine;
    void (*progress)(const struct verifier *v);
    int error;
};

static void run_step(void *self, const struct gt_event *ev, struct gt_effects *out)
{
    struct run *run = self;
    run->machine.step(run->machine.self, ev, out);
    run->progress(run->verifier);
}

static uint64_t run_deadline_us(const void *self)
{
    const struct run *run = self;
    return run->machine.deadline_us(run->machine.self);
}

static void on_effect(void *arg, struct loop *l, const struct gt_effect *e)
{
    struct run *run = arg;
    if (e->kind != GT_DONE)
        return;
    run->error = e->done.error;
    loop_stop(l, 0);
}

int verify(struct verifier *v, void (*progress)(const struct verifier *v))
{
    struct loop *loop;
    struct run run = {v, verifier_machine(v), progress, GT_EUNREACHABLE};
    struct loop_config config = {.machine = {&run, run_step, run_deadline_us},
                                 .seed = loop_seed(),
                                 .arg = &run,
                                 .effect = on_effect};
    int error = loop_new(&config, &loop);
    if (error)
        return error;
    error = loop_run(loop);
    loop_free(loop);
    return error ? error : run.error;
}
