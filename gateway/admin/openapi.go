package admin

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"sync"
)

// documentPath is where the document is served, to whoever reaches the port: it tells what the program is, and
// nothing of this store.
const documentPath = "/admin/openapi.json"

// document describes every route (OpenAPI Specification 3.0.3). It is made of the table that serves them.
var document = sync.OnceValue(func() []byte {
	s := newSchemas()
	paths := make(object)
	for _, rt := range routes() {
		methods, ok := paths[rt.path].(object)
		if !ok {
			methods = make(object)
			paths[rt.path] = methods
		}
		methods[strings.ToLower(rt.method)] = rt.describe(s)
	}
	s.of(reflect.TypeFor[errorAnswer]())
	text, err := json.MarshalIndent(object{
		"openapi": "3.0.3",
		"info": object{
			"title": "shoal management", "version": "v1",
			"description": "The operator's API of a store. Requests are signed with AWS Signature Version 4 for service shoal or s3. " +
				"Each takes rights, which are actions of policies: all of x-actions.all, or one of x-actions.oneOf, by what the body says. " +
				"Paths may be sent without v1, as in x-path-aliases; a signature is over the path as it is sent.",
		},
		"x-path-aliases": object{apiPath: apiVersion1},
		"paths":          paths,
		"security":       []object{{"sigv4": []string{}}},
		"components": object{
			"schemas": s.made,
			"securitySchemes": object{
				"sigv4": object{"type": "apiKey", "name": "Authorization", "in": "header", "x-amazon-apigateway-authtype": "awsSigv4"},
			},
		},
	}, "", "  ")
	if err != nil {
		panic(err)
	}
	return append(text, '\n')
})

// describe is a route's operation object.
func (rt *route) describe(s *schemas) object {
	rule, content := "all", "application/json"
	if rt.chosen {
		rule = "oneOf"
	}
	if rt.stream != nil {
		content = "application/octet-stream"
	}
	op := object{
		"summary": rt.summary, "x-actions": object{rule: rt.actions},
		"responses": object{
			"200":     object{"description": "Done.", "content": object{content: object{"schema": s.of(rt.gives)}}},
			"400":     failure("The request is wrong: InvalidArgument and what to change."),
			"403":     failure("The signature is wrong (SignatureDoesNotMatch, InvalidAccessKeyId, …) or a right is missing (AccessDenied)."),
			"default": failure("Another error."),
		},
	}
	if rt.root {
		op["x-principal"] = "root"
	}
	if rt.takes != nil {
		op["requestBody"] = object{"required": true, "content": object{"application/json": object{"schema": s.of(rt.takes)}}}
	}
	var parameters []object
	for _, part := range strings.Split(rt.path, "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok {
			parameters = append(parameters, object{"name": strings.TrimSuffix(name, "}"), "in": "path", "required": true, "schema": object{"type": "string"}})
		}
	}
	if rt.parameter != "" {
		parameters = append(parameters, object{"name": rt.parameter, "in": "query", "description": rt.meaning, "schema": object{"type": "string"}})
	}
	if parameters != nil {
		op["parameters"] = parameters
	}
	return op
}

func failure(when string) object {
	return object{"description": when, "content": object{"application/json": object{"schema": object{"$ref": "#/components/schemas/ErrorAnswer"}}}}
}

// openAPI answers with the document.
func openAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Write(document()) // a client that has gone needs no answer
}
