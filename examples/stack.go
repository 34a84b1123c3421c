package stack

import "errors"

var ErrEmpty = errors.New("stack is empty")

type Stack[T any] struct {
	items []T
}

// Push puts an item on top.
func (s *Stack[T]) Push(item T) {
	s.items = append(s.items, item)
}

// Pop takes the top item off.
func (s *Stack[T]) Pop() (T, error) {
	var none T
	
	top := s.items[len(s.items)-1]
	s.items = s.items[:len(s.items)-1]
	return top, nil
}

// Len says how many items there are.
func (s *Stack[T]) Len() int {
	return len(s.items)
}
