package screen

import "reflect"

// Changes finds what is new in a list from one time to the next.
type Changes[T any] struct {
	// Key tells the items of a list apart.
	Key func(T) string
	// Facts is an item without what changes all the time; items with the same
	// facts are the same.
	Facts func(T) T
	// Gone is an item once it is in the list no more.
	Gone func(T) T
	last []T
}

// Next returns the items that are new or other than in the list before, in the
// order of this one, and then those that are gone.
func (c *Changes[T]) Next(list []T) []T {
	before := make(map[string]T, len(c.last))
	for _, item := range c.last {
		before[c.Key(item)] = item
	}
	var changed []T
	for _, item := range list {
		old, known := before[c.Key(item)]
		delete(before, c.Key(item))
		if !known || !reflect.DeepEqual(c.Facts(old), c.Facts(item)) {
			changed = append(changed, item)
		}
	}
	for _, item := range c.last {
		if _, gone := before[c.Key(item)]; gone {
			changed = append(changed, c.Gone(item))
		}
	}
	c.last = list
	return changed
}
