// Checks whether reads and writes of single keys are linearizable, with porcupine.
//
// It reads a JSON line for each operation from standard input, and prints one JSON object. Its argument is a file for a
// picture of the key that is not linearizable, which is an HTML page.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"sort"
	"time"

	"github.com/anishathalye/porcupine"
)

// Operation is a read or a write of a key. The times are microseconds. A write whose outcome is unknown has no end: it
// may take effect at any time after its start, or never.
type Operation struct {
	ID     int    `json:"id"`
	Client int    `json:"client"`
	Key    string `json:"key"`
	Write  bool   `json:"write"`
	Value  string `json:"value"`
	Start  int64  `json:"start"`
	End    *int64 `json:"end"`
}

// Answer says whether all keys are linearizable: "ok", "illegal" or, if the time was not enough, "unknown". After
// "illegal", Key is the key, and Last is an operation at which every order of them that was tried came to its end.
type Answer struct {
	Result string `json:"result"`
	Key    string `json:"key"`
	Last   int    `json:"last"`
}

const limit = 60 * time.Second

// A key that was never written has the value "".
var register = porcupine.Model{
	Init: func() interface{} { return "" },
	Step: func(state, input, output interface{}) (bool, interface{}) {
		operation := input.(Operation)
		if operation.Write {
			return true, operation.Value
		}
		return operation.Value == state.(string), state
	},
	DescribeOperation: func(input, output interface{}) string {
		operation := input.(Operation)
		if operation.Write {
			return fmt.Sprintf("write %q", operation.Value)
		}
		return fmt.Sprintf("read %q", operation.Value)
	},
}

func main() {
	byKey, err := read()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	answer, err := check(byKey)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	json.NewEncoder(os.Stdout).Encode(answer)
}

func read() (map[string][]porcupine.Operation, error) {
	byKey := map[string][]porcupine.Operation{}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var operation Operation
		if err := json.Unmarshal(lines.Bytes(), &operation); err != nil {
			return nil, err
		}
		end := int64(math.MaxInt64)
		if operation.End != nil {
			end = *operation.End
		}
		byKey[operation.Key] = append(byKey[operation.Key], porcupine.Operation{
			ClientId: operation.Client, Input: operation, Call: operation.Start, Return: end,
		})
	}
	return byKey, lines.Err()
}

func check(byKey map[string][]porcupine.Operation) (Answer, error) {
	keys := make([]string, 0, len(byKey))
	for key := range byKey {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	answer := Answer{Result: "ok"}
	for _, key := range keys {
		result, info := porcupine.CheckOperationsVerbose(register, byKey[key], limit)
		switch result {
		case porcupine.Illegal:
			illegal := Answer{Result: "illegal", Key: key, Last: firstLeftOut(byKey[key], info)}
			if len(os.Args) > 1 {
				return illegal, porcupine.VisualizePath(register, info, os.Args[1])
			}
			return illegal, nil
		case porcupine.Unknown:
			answer.Result = "unknown"
		}
	}
	return answer, nil
}

// firstLeftOut returns the operation that ended first of those that are not in the longest order that was found.
func firstLeftOut(operations []porcupine.Operation, info porcupine.LinearizationInfo) int {
	var longest []porcupine.Operation
	for _, partition := range info.PartialLinearizationsOperations() {
		for _, order := range partition {
			if len(order) > len(longest) {
				longest = order
			}
		}
	}
	ordered := map[int]bool{}
	for _, operation := range longest {
		ordered[operation.Input.(Operation).ID] = true
	}
	first, end := -1, int64(math.MaxInt64)
	for _, operation := range operations {
		id := operation.Input.(Operation).ID
		if !ordered[id] && operation.Return < end {
			first, end = id, operation.Return
		}
	}
	return first
}
