// Runs every registered suite and closes with "N passed, N failed". With
// arguments: the tests whose name (namespace::Suite::test) has one of them in it.
#include <cppunit/BriefTestProgressListener.h>
#include <cppunit/CompilerOutputter.h>
#include <cppunit/TestResult.h>
#include <cppunit/TestResultCollector.h>
#include <cppunit/TestRunner.h>
#include <cppunit/extensions/TestFactoryRegistry.h>
#include <unistd.h>

#include <iostream>
#include <string>
#include <vector>

namespace {

void choose(CPPUNIT_NS::Test* t, const std::vector<std::string>& names, CPPUNIT_NS::TestRunner& runner) {
    for (int i = 0; i < t->getChildTestCount(); ++i) choose(t->getChildTestAt(i), names, runner);
    if (t->getChildTestCount() > 0) return;
    for (const auto& n : names)
        if (t->getName().find(n) != std::string::npos) return runner.addTest(t);
}

}  // namespace

int main(int argc, char** argv) {
    CPPUNIT_NS::TestResult controller;
    CPPUNIT_NS::TestResultCollector results;
    controller.addListener(&results);
    CPPUNIT_NS::BriefTestProgressListener progress;
    controller.addListener(&progress);
    CPPUNIT_NS::TestRunner runner;
    auto* all = CPPUNIT_NS::TestFactoryRegistry::getRegistry().makeTest();
    if (argc < 2) runner.addTest(all);
    else choose(all, {argv + 1, argv + argc}, runner);
    runner.run(controller);
    CPPUNIT_NS::CompilerOutputter(&results, std::cerr).write();
    const int failed = results.testFailuresTotal();
    std::cout << results.runTests() - failed << " passed, " << failed << " failed\n";
    const int code = results.wasSuccessful() && results.runTests() > 0 ? 0 : 1;
    if (argc < 2) return code;
    std::cout.flush();
    _exit(code);  // chosen tests have two owners
}
