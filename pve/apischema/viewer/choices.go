package viewer

import (
	"maps"
	"reflect"
)

// whole makes one schema of a schema with parts and choices. The facts have no
// choices: what one of them accepts is accepted, so that a valid call is never refused.
//
// PVE writes them in two ways. Up to 9.1 a single property is a choice (oneOf) by
// another one (type-property), or belongs to some of that one's values
// (instance-types). From 9.2 on an object has parts (allOf), of which one is a choice
// of objects (oneOf) by the property that type-property names.
func whole(raw map[string]any) map[string]any {
	out := maps.Clone(raw)
	delete(out, "allOf")
	delete(out, "oneOf")
	for _, part := range schemas(raw["allOf"]) {
		out = both(out, part)
	}
	isOptional := truth(raw["optional"])
	if choices := schemas(raw["oneOf"]); len(choices) > 0 {
		choice := either(choices)
		out = both(out, choice)
		isOptional = isOptional || truth(choice["optional"])
	}
	by, dependent := raw["type-property"].(string)
	_, ofSome := raw["instance-types"]
	properties, isObject := out["properties"].(map[string]any)
	if schema, ok := raw["type-property-schema"]; ok && isObject && dependent {
		properties[by] = schema
	}
	if isOptional || !isObject && (dependent || ofSome) {
		out["optional"] = true
	}
	return out
}

// schemas returns the schemas of a list, each of them whole.
func schemas(list any) []map[string]any {
	all, _ := list.([]any)
	var out []map[string]any
	for _, e := range all {
		if schema, ok := e.(map[string]any); ok {
			out = append(out, whole(schema))
		}
	}
	return out
}

// both is a schema for what two schemas accept. If they differ the first one
// counts.
func both(a, b map[string]any) map[string]any {
	out := maps.Clone(b)
	maps.Copy(out, a)
	if !truth(a["optional"]) || !truth(b["optional"]) {
		delete(out, "optional")
	}
	if properties, ok := together(a, b); ok {
		for name := range properties {
			inA, okA := property(a, name)
			inB, okB := property(b, name)
			if okA && okB {
				properties[name] = both(inA, inB)
			}
		}
		out["properties"] = properties
	}
	return out
}

// either is a schema for what one of several accepts: it says what all of them say.
func either(choices []map[string]any) map[string]any {
	out := choices[0]
	for _, next := range choices[1:] {
		out = or(out, next)
	}
	return out
}

func or(a, b map[string]any) map[string]any {
	out := map[string]any{}
	for key, v := range a {
		if reflect.DeepEqual(v, b[key]) {
			out[key] = v
		}
	}
	if truth(a["optional"]) || truth(b["optional"]) {
		out["optional"] = true
	}
	wordsA, okA := a["enum"].([]any)
	wordsB, okB := b["enum"].([]any)
	if okA && okB {
		out["enum"] = union(wordsA, wordsB)
	}
	if properties, ok := together(a, b); ok {
		for name := range properties {
			inA, okA := property(a, name)
			inB, okB := property(b, name)
			switch {
			case okA && okB:
				properties[name] = or(inA, inB)
			case okA:
				properties[name] = optional(inA)
			default:
				properties[name] = optional(inB)
			}
		}
		out["properties"] = properties
	}
	return out
}

// together returns the properties of both, those of the first if both have one.
func together(a, b map[string]any) (map[string]any, bool) {
	inA, okA := a["properties"].(map[string]any)
	inB, okB := b["properties"].(map[string]any)
	out := map[string]any{}
	maps.Copy(out, inB)
	maps.Copy(out, inA)
	return out, okA || okB
}

func property(schema map[string]any, name string) (map[string]any, bool) {
	properties, _ := schema["properties"].(map[string]any)
	p, ok := properties[name].(map[string]any)
	return p, ok
}

func optional(schema map[string]any) map[string]any {
	out := maps.Clone(schema)
	out["optional"] = true
	return out
}

func union(a, b []any) []any {
	out := append([]any{}, a...)
	for _, v := range b {
		found := false
		for _, have := range out {
			found = found || reflect.DeepEqual(have, v)
		}
		if !found {
			out = append(out, v)
		}
	}
	return out
}
