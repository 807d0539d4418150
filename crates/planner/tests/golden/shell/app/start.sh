#!/bin/sh
exec nc -lk -p "$PORT" -e echo shop
