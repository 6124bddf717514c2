package rpc_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/mcpserver/rpc"
)

// What is a message is read, and what could be read in two ways is none.
func TestRead(t *testing.T) {
	call := func(params string) string {
		return `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":` + params + `}`
	}
	for text, want := range map[string]string{
		call(`{"name":"x","arguments":{"a":1}}`):                              "x",
		call(`{"n\u0061me":"x"}`):                                             "x",
		`[` + call(`{"name":"x"}`) + `]`:                                      "x",
		`{"jsonrpc":"2.0","id":7,"result":{}}`:                                "",
		`{"jsonrpc":"2.0","method":"notifications/x"}`:                        "",
		call(`{"name":"x","name":null}`):                                      "7: the name \"name\" stands twice",
		call(`{"name":"x","Name":"y"}`):                                       "stands twice",
		call(`{"name":"x","n\u0061me":"y"}`):                                  "stands twice",
		call(`{"name":"x","arguments":{"vmid":1,"vmid":2}}`):                  "stands twice",
		call(`{"name":"x","arguments":{"a":[{"b":1,"B":2}]}}`):                "stands twice",
		call(`{"name":"x"},"params":{"name":"y"}`):                            "stands twice",
		call(`{"name":"x"},"method":"ping"`):                                  "stands twice",
		call(`{"name":"x"},"METHOD":"ping"`):                                  "stands twice",
		call(`{"name":"x"},"id":8`):                                           "stands twice",
		call(`{"name":"x","\u017farguments":1,"Sarguments":2}`):               "stands twice",
		call(`{"name":null}`):                                                 "the name of a tool",
		call(`{"name":5}`):                                                    "the name of a tool",
		call(`{}`):                                                            "the name of a tool",
		call(`[]`):                                                            "are an object",
		call(`"x"`):                                                           "are an object",
		`{"jsonrpc":"2.0","id":7,"method":"tasks/get","params":{"taskId":5}}`: "taskId",
		`{"jsonrpc":"2.0","id":7,"method":5}`:                                 "not a message",
		`{"jsonrpc":"2.0","id":7,"method":null}`:                              "method",
		`{"jsonrpc":"2.0","id":7,"method":""}`:                                "method",
		`{"jsonrpc":"2.0","id":1.5,"method":"ping"}`:                          "whole number",
		`{"jsonrpc":"2.0","id":1e3,"method":"ping"}`:                          "whole number",
		`{"jsonrpc":"2.0","id":9007199254740993,"method":"ping"}`:             "whole number",
		`{"jsonrpc":"2.0","id":7}`:                                            "no answer",
		`{"jsonrpc":"2.0","result":{}}`:                                       "not a message",
		`[` + call(`{"name":"x"}`) + `,` + call(`{"name":"y"}`) + `]`:         "the same id",
		`[]`:   "empty",
		`null`: "a JSON object",
		`[` + strings.Repeat(`{"jsonrpc":"2.0","method":"x"},`, 40) + `{"jsonrpc":"2.0","method":"x"}]`: "at most 32",
		call(`{"name":"x","a":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `}`):            "nested more than 100",
		call(`{"name":"x","a":[` + strings.Repeat("0,", 20000) + `0]}`):                                 "more than 10000",
		call("{\"name\":\"\xff\"}"): "UTF-8",
		`{`:                         "not JSON",
	} {
		all, err := rpc.Read([]byte(text))
		if err == nil {
			if len(all) == 0 {
				t.Fatal(text)
			}
			if got := all[0].Params.Name; got != want {
				t.Errorf("%.100s: %q", text, got)
			}
			continue
		}
		if got := fmt.Sprintf("%s: %s", err.ID, err); want == "" || !strings.Contains(got, strings.TrimPrefix(want, "7: ")) {
			t.Errorf("%.100s: %s", text, got)
		}
	}
}

// An id is named if the message has one.
func TestWhichMessageIsRefused(t *testing.T) {
	for text, want := range map[string]string{
		`{"jsonrpc":"2.0","id":"a","method":5}`:                   `{"jsonrpc":"2.0","id":"a",`,
		`{"jsonrpc":"2.0","id":3,"method":"tools/call"}`:          `{"jsonrpc":"2.0","id":3,"error":{"code":-32602,`,
		`{"jsonrpc":"2.0","id":3,"method":"ping","id":4}`:         `{"jsonrpc":"2.0","id":null,`,
		`[{"jsonrpc":"2.0","id":3,"method":"tools/call"}]`:        `{"jsonrpc":"2.0","id":null,`,
		`[{"jsonrpc":"2.0","id":3,"method":5},{"jsonrpc":"2.0"}]`: `{"jsonrpc":"2.0","id":null,`,
	} {
		if _, err := rpc.Read([]byte(text)); err == nil || !strings.HasPrefix(string(err.Answer()), want) {
			t.Errorf("%s: %s", text, err.Answer())
		}
	}
}
