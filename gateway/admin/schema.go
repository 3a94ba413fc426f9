package admin

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"
)

// object is a JSON object of the document. encoding/json writes its names in ascending order.
type object = map[string]any

// schemas are the types of the document by their names.
type schemas struct {
	byName map[string]reflect.Type
	made   object
}

func newSchemas() *schemas {
	return &schemas{byName: make(map[string]reflect.Type), made: make(object)}
}

// of describes what a Go value of a type is in JSON (JSON Schema, as OpenAPI 3.0 has it).
func (s *schemas) of(t reflect.Type) object {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case t == reflect.TypeFor[time.Duration]():
		return object{"type": "integer", "format": "int64", "description": "nanoseconds"}
	case t == reflect.TypeFor[json.RawMessage]():
		return object{}
	case t.Implements(reflect.TypeFor[encoding.TextMarshaler]()):
		return object{"type": "string"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return s.of(t.Elem())
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.String:
		return object{"type": "string"}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return object{"type": "integer", "format": "int64"}
	case reflect.Float32, reflect.Float64:
		return object{"type": "number"}
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			return object{"type": "string", "format": "byte"}
		}
		return object{"type": "array", "items": s.of(t.Elem())}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": s.of(t.Elem())}
	case reflect.Struct:
		return s.named(t)
	}
	panic(fmt.Sprintf("admin: a value of type %v has no place in JSON", t))
}

// named refers to the schema of a struct, which it makes when it is met first.
func (s *schemas) named(t reflect.Type) object {
	name := strings.ToUpper(t.Name()[:1]) + t.Name()[1:]
	if known, ok := s.byName[name]; ok && known != t {
		panic(fmt.Sprintf("admin: %v and %v have one name", known, t))
	} else if !ok {
		s.byName[name] = t
		properties, required := make(object), []string{}
		for _, f := range jsonFields(t) {
			properties[f.name] = s.of(f.typ)
			if !f.optional {
				required = append(required, f.name)
			}
		}
		schema := object{"type": "object", "properties": properties, "additionalProperties": false}
		if len(required) > 0 {
			schema["required"] = required
		}
		s.made[name] = schema
	}
	return object{"$ref": "#/components/schemas/" + name}
}

// jsonField is a field of a struct as encoding/json writes it.
type jsonField struct {
	name     string
	typ      reflect.Type
	optional bool // it may be left out
}

// jsonFields lists the fields of a struct, those of embedded structs among them.
func jsonFields(t reflect.Type) []jsonField {
	var fields []jsonField
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-" || !f.IsExported() && !f.Anonymous:
			continue
		case f.Anonymous && name == "":
			fields = append(fields, jsonFields(f.Type)...)
			continue
		case name == "":
			name = f.Name
		}
		fields = append(fields, jsonField{name: name, typ: f.Type, optional: strings.Contains(options, "omit")})
	}
	return fields
}
