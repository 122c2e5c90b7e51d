/* Parses a JSON text with tree-sitter, changes a number in it and parses it again, many times over, as an editor does. Each tree is walked,
   and one of them is deeper than that can take. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tree_sitter/api.h>

const TSLanguage *tree_sitter_json(void);

static char text[1 << 16];
static unsigned length;

/* Lists in lists, `depth` of them, with numbers. */
static void nested(int depth)
{
    length += sprintf(text + length, "[%d, ", depth);
    if (depth > 0)
        nested(depth - 1);
    else
        length += sprintf(text + length, "{\"leaf\": null}");
    length += sprintf(text + length, ", %d]", depth * 7);
}

/* How many nodes there are, and how deep. */
static unsigned walk(TSNode node, unsigned depth, unsigned *deepest)
{
    unsigned count = 1;
    if (depth > 100)
        abort();
    if (depth > *deepest)
        *deepest = depth;
    for (unsigned i = 0; i < ts_node_child_count(node); i++)
        count += walk(ts_node_child(node, i), depth + 1, deepest);
    return count;
}

int main(void)
{
    length = sprintf(text, "[0");
    for (int i = 1; i < 60; i++) {
        length += sprintf(text + length, ",\n  ");
        nested(i % 14);
    }
    length += sprintf(text + length, ",\n  ");
    unsigned last = length;
    nested(12);
    length += sprintf(text + length, "\n]\n");
    TSParser *parser = ts_parser_new();
    ts_parser_set_language(parser, tree_sitter_json());
    TSTree *tree = ts_parser_parse_string(parser, NULL, text, length);
    unsigned long sum = 0;
    for (unsigned round = 0; round < 40; round++) {
        unsigned at = 4 + round * 131 % (last - 8), deepest = 0;
        while (text[at] < '0' || text[at] > '9')
            at++;
        text[at] = '1' + round % 9;
        if (round == 35) {
            /* A deep list is put in the place of the last one. */
            length = last;
            nested(150);
            length += sprintf(text + length, "\n]\n");
            at = last;
        }
        TSInputEdit edit = {at, at + 1, at + 1, {0, at}, {0, at + 1}, {0, at + 1}};
        ts_tree_edit(tree, &edit);
        TSTree *next = ts_parser_parse_string(parser, round == 35 ? NULL : tree, text, length);
        ts_tree_delete(tree);
        tree = next;
        sum += walk(ts_tree_root_node(tree), 1, &deepest) * 1000 + deepest;
    }
    ts_tree_delete(tree);
    ts_parser_delete(parser);
    printf("%lu\n", sum);
    return 0;
}
