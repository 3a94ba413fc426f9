package policy

import (
	"strings"

	"shoal/acl"
)

// condition is one operator on one key. All conditions of a statement must hold.
type condition struct {
	operator
	name     string // of the operator, without quantifier and IfExists
	key      string // in lower case
	operands []operand
	texts    []string // as written
	each     quantifier
	ifExists bool
	isNull   bool
}

// quantifier says how the values of a key with several are taken together.
type quantifier uint8

const (
	one quantifier = iota
	forAll
	forAny
)

// holds evaluates the condition (IAM User Guide, "Conditions with multiple context keys or values").
// The values of a policy are alternatives; for a negated operator, none of them may fit.
func (c *condition) holds(r *acl.Request) bool {
	values, has := r.Keys[c.key]
	switch {
	case c.isNull:
		return c.null(has && len(values) > 0)
	case len(values) == 0:
		return c.absent()
	case c.each == forAll:
		for _, v := range values {
			if !c.compare(v, r) {
				return false
			}
		}
		return true
	case c.each == one && c.negated:
		for _, v := range values {
			if !c.compare(v, r) {
				return false
			}
		}
		return true
	}
	for _, v := range values {
		if c.compare(v, r) {
			return true
		}
	}
	return false
}

// null: the key must be missing for true, and there for false.
func (c *condition) null(has bool) bool {
	for _, o := range c.operands {
		if bool(o.(boolOperand)) == !has {
			return true
		}
	}
	return false
}

// absent is the outcome for a request that does not have the key: a negated operator holds, as there
// is nothing that it speaks against; ForAllValues holds, ForAnyValue does not.
func (c *condition) absent() bool {
	switch {
	case c.ifExists || c.each == forAll:
		return true
	case c.each == forAny:
		return false
	}
	return c.negated
}

func (c *condition) compare(value string, r *acl.Request) bool {
	for _, o := range c.operands {
		if o.equals(value, r) {
			return !c.negated
		}
	}
	return c.negated
}

// readConditions reads the element Condition.
func readConditions(t *tree, s syntax) ([]condition, error) {
	if t.kind != treeObject {
		return nil, refuse("Condition must be an object.")
	}
	var out []condition
	for i, name := range t.names {
		c, err := readOperator(name)
		if err != nil {
			return nil, err
		}
		byKey := t.items[i]
		if byKey.kind != treeObject || len(byKey.names) == 0 {
			return nil, refuse("%s must be an object of condition keys.", name)
		}
		seen := make(map[string]bool)
		for j, key := range byKey.names {
			one := c
			if err := one.readKey(key, byKey.items[j], s); err != nil {
				return nil, err
			}
			if seen[one.key] {
				return nil, refuse("%s names the key %s twice.", name, key)
			}
			seen[one.key] = true
			out = append(out, one)
		}
	}
	return out, nil
}

// readOperator reads a name such as ForAllValues:StringLikeIfExists.
func readOperator(name string) (condition, error) {
	var c condition
	rest := name
	if after, ok := strings.CutPrefix(rest, "ForAllValues:"); ok {
		c.each, rest = forAll, after
	} else if after, ok := strings.CutPrefix(rest, "ForAnyValue:"); ok {
		c.each, rest = forAny, after
	}
	if after, ok := strings.CutSuffix(rest, "IfExists"); ok {
		c.ifExists, rest = true, after
	}
	op, ok := operators[rest]
	c.operator, c.name, c.isNull = op, rest, rest == "Null"
	if !ok || c.isNull && (c.ifExists || c.each != one) {
		return c, refuse("There is no condition operator %q.", name)
	}
	return c, nil
}

func (c *condition) readKey(name string, values *tree, s syntax) error {
	c.key = strings.ToLower(name)
	k := lookupKey(c.key)
	switch {
	case k == nil:
		return refuse("There is no condition key %q.", name)
	case !c.fits(k):
		return refuse("The operator %s does not fit the condition key %s.", c.name, name)
	case k.multi && c.each == one && !c.isNull:
		return refuse("%s can have several values: use ForAllValues:%s or ForAnyValue:%s.", name, c.name, c.name)
	}
	for _, v := range values.list() {
		if v.kind == treeObject || v.kind == treeList {
			return refuse("The values of %s must be strings.", name)
		}
		o, err := c.read(v.text, s)
		if err != nil {
			return err
		}
		c.operands, c.texts = append(c.operands, o), append(c.texts, v.text)
	}
	if len(c.operands) == 0 {
		return refuse("%s has no values.", name)
	}
	return nil
}
