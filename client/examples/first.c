/* The four calls: store a value, read it back. Usage: first [HOST:PORT] */
#include <gtstore.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    gtstore_env env;
    int error = gtstore_init(&env, argc > 1 ? argv[1] : "127.0.0.1:5000");
    if (error) {
        fprintf(stderr, "first: %s\n", gtstore_last_error(&env));
        return 1;
    }
    gtstore_value value = {0};
    error = gtstore_put(&env, "name", 4, "Ada", 3);
    if (error == 0)
        error = gtstore_get(&env, "name", 4, &value);
    if (error)
        fprintf(stderr, "first: %s\n", gtstore_last_error(&env));
    else
        printf("name = %s, from %s\n", (char *)value.data, value.coordinator);
    gtstore_value_free(&value);
    gtstore_finalize(&env);
    return error ? 1 : 0;
}
