package org.example;

class Shop {
    public static void main(String[] arguments) {}
}
