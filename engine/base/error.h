/*
 * Errors: 0 is success, everything else is negative.
 *
 * One table names every error, its number, the exit code of a command that ends with it, and its
 * text. The numbers travel on the wire and are final. The public header client/gtstore.h repeats
 * the numbers (it stands alone); a unit test holds the two equal.
 */
#ifndef GT_ENGINE_BASE_ERROR_H
#define GT_ENGINE_BASE_ERROR_H

/*        name              number exit text */
#define GT_ERROR_TABLE(X)                                                                          \
    X(GT_EARG, -1, 2, "invalid argument")                                                          \
    X(GT_ELIMIT, -2, 2, "over the limit")                                                          \
    X(GT_ENOTFOUND, -3, 3, "not found")                                                            \
    X(GT_ECONFLICT, -4, 4, "conflict")                                                             \
    X(GT_EQUORUM, -5, 5, "quorum not met")                                                         \
    X(GT_EUNREACHABLE, -6, 6, "unreachable")                                                       \
    X(GT_EINDOUBT, -7, 8, "in doubt")                                                              \
    X(GT_ETIMEOUT, -8, 6, "deadline passed")                                                       \
    X(GT_EBUSY, -9, 1, "too much work in flight")                                                  \
    X(GT_EFORMING, -10, 5, "forming")                                                              \
    X(GT_EIO, -11, 1, "input/output error")                                                        \
    X(GT_ENOSPACE, -12, 1, "no space left for data")                                               \
    X(GT_ECORRUPT, -13, 1, "damaged data")                                                         \
    X(GT_EFORMAT, -14, 1, "unknown or newer format")                                               \
    X(GT_ELOCKED, -15, 1, "data folder in use")                                                    \
    X(GT_ECLUSTER, -16, 1, "another cluster")                                                      \
    X(GT_ELABEL, -17, 1, "label in use")                                                           \
    X(GT_EPROTO, -18, 1, "protocol violated")                                                      \
    X(GT_ESTALE, -19, 1, "cluster map has changed")                                                \
    X(GT_ENOTOWNER, -20, 1, "not an owner of the key")                                             \
    X(GT_ECONTEXT, -21, 1, "context refused")                                                      \
    X(GT_ENOMEM, -22, 1, "out of memory")                                                          \
    X(GT_ECLOSED, -23, 1, "closed")                                                                \
    X(GT_EINCARNATION, -24, 1, "a higher incarnation of this node was seen")                       \
    X(GT_EUNSUPPORTED, -25, 1, "not supported")                                                    \
    X(GT_ESETTINGS, -26, 1, "settings differ from the cluster's")                                  \
    X(GT_EPOISONED, -27, 1, "the log failed and takes no more writes")                             \
    X(GT_EADDRESS, -28, 1, "cannot use the address")                                               \
    X(GT_EMISSING, -29, 1, "a piece of the state is missing")                                      \
    X(GT_EUNKNOWN, -30, 1, "the state of the key is unknown here")                                 \
    X(GT_ECLOCK, -31, 1, "wall clock too far from the others")                                     \
    X(GT_EDESCRIPTORS, -32, 1, "too many open files")                                              \
    X(GT_EFILLING, -33, 1, "catching up: it has no vote yet")

#ifndef GT_ERRORS_DEFINED
#define GT_ERRORS_DEFINED
enum gt_error {
#define GT_ERROR_ENUM(name, number, exit_code, text) name = number,
    GT_ERROR_TABLE(GT_ERROR_ENUM)
#undef GT_ERROR_ENUM
};
#endif

/* The text of an error, "ok" for 0, "unknown error" for a number outside the table. Static. */
const char *error_text(int error);
/* The symbolic name ("GT_EARG"), "GT_OK" for 0, "GT_E?" outside the table. Static. */
const char *error_name(int error);
/* The exit code of a command that ends with this error; 0 for 0, 1 outside the table. */
int error_exit_code(int error);

#endif
