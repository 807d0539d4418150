"""The fault suite: a scenario is an action, a fault, a moment and promises, written as data; here is what the words mean."""
