#!/bin/sh
echo "$SHOWN $ONE"
