#!/bin/sh
echo "tool version 1.2.0 (x)"
