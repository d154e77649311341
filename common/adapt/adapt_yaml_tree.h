/* SPDX-License-Identifier: Apache-2.0 */
/* Between adapt_yaml.c (libyaml) and adapt_cyaml.c (libcyaml) only: a checked document as a tree of nodes with line numbers. */
#ifndef ROOMWIRE_ADAPT_ADAPT_YAML_TREE_H
#define ROOMWIRE_ADAPT_ADAPT_YAML_TREE_H

#include <yaml.h>

#include "common/base/buf.h"

/*
 * Parse; no aliases, no zero bytes, one document, depth bounded. *root is BORROWED from doc, NULL for an empty document. 0: doc is to be
 * deleted by yaml_document_delete; else E_CONFIG with lines in errors.
 */
int yaml_tree_open(const char *name, struct str text, yaml_document_t *doc, yaml_node_t **root,
		   struct buf *errors) MUST_CHECK;
struct str yaml_tree_text(const yaml_node_t *node);   /* of a scalar; else empty */
const char *yaml_tree_shape(const yaml_node_t *node); /* "a mapping", "a list", "a value" */
size_t yaml_tree_count(const yaml_node_t *node);      /* pairs or items */
yaml_node_t *yaml_tree_key(yaml_document_t *doc, const yaml_node_t *mapping, size_t i);
yaml_node_t *yaml_tree_value(yaml_document_t *doc, const yaml_node_t *mapping, size_t i);
yaml_node_t *yaml_tree_item(yaml_document_t *doc, const yaml_node_t *list, size_t i);
size_t yaml_tree_twin(yaml_document_t *doc, const yaml_node_t *mapping,
		      size_t i); /* earlier pair with the key of pair i, else i */
void yaml_tree_quote(
	struct buf *out,
	struct str s); /* for messages: quoted, control characters escaped, cut at 60 bytes */

#endif
